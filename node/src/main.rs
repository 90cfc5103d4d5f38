//! The binary: hands the process's arguments, environment and streams to the command line. The one place that reads
//! the environment.

use std::io::IsTerminal;
use std::process::ExitCode;

use conclave::cli::{self, Environment, Session};
use conclave::clock::SystemClock;
use conclave::rng::OsRandom;
use conclave::wiping::WipingAllocator;

#[global_allocator]
static ALLOCATOR: WipingAllocator = WipingAllocator;

fn main() -> ExitCode {
    let environment = Environment::new(std::env::vars_os());
    let code = cli::run(
        std::env::args_os(),
        &mut Session {
            environment: &environment,
            input: &mut std::io::stdin(),
            output: &mut std::io::stdout(),
            errors: &mut std::io::stderr(),
            is_terminal: std::io::stdin().is_terminal() && std::io::stderr().is_terminal(),
            clock: &SystemClock,
            random: &OsRandom,
        },
    );
    ExitCode::from(code)
}
