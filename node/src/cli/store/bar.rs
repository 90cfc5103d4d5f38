//! A bar that shows how far a tool is, on a terminal; elsewhere nothing is shown.

use std::io::Write;
use std::time::Duration;

use super::Session;
use crate::clock::Clock;
use crate::store::tools::Progress;

/// How often it is drawn at most.
const INTERVAL: Duration = Duration::from_millis(100);
const WIDTH: u64 = 30;

/// See the module.
pub(super) struct Bar<'s> {
    /// `None` where it would only be in the way.
    output: Option<&'s mut dyn Write>,
    clock: &'s dyn Clock,
    drawn: Option<Duration>,
}

impl<'s> Bar<'s> {
    /// One on the session's error output.
    pub(super) fn new<'o: 's>(session: &'s mut Session<'o>) -> Self {
        let output: &mut dyn Write = &mut *session.errors;
        Self {
            output: session.is_terminal.then_some(output),
            clock: session.clock,
            drawn: None,
        }
    }

    /// What is told of the progress.
    pub(super) fn watcher(&mut self) -> impl FnMut(Progress) {
        move |progress| self.show(progress)
    }

    fn show(&mut self, progress: Progress) {
        let now = self.clock.since_boot();
        let is_due = self
            .drawn
            .is_none_or(|drawn| now.saturating_sub(drawn) >= INTERVAL);
        if let Some(output) = self.output.as_mut().filter(|_| is_due) {
            // A terminal that is gone shows nothing; the work goes on.
            let _ = write!(output, "\r\x1b[2K{}", line(&progress));
            let _ = output.flush();
            self.drawn = Some(now);
        }
    }

    /// Takes it away.
    pub(super) fn clear(mut self) {
        if let Some(output) = self.output.as_mut().filter(|_| self.drawn.is_some()) {
            let _ = write!(output, "\r\x1b[2K");
            let _ = output.flush();
        }
    }
}

fn line(progress: &Progress) -> String {
    let Progress {
        step,
        rows,
        bytes,
        of_rows,
    } = progress;
    let mebibytes = bytes / (1024 * 1024);
    match of_rows {
        None => format!("{step}: {rows} rows, {mebibytes} MiB"),
        Some(all) => {
            let filled = (rows * WIDTH)
                .checked_div(*all)
                .map_or(WIDTH, |part| part.min(WIDTH));
            let bar = |count: u64, sign: &str| sign.repeat(usize::try_from(count).unwrap_or(0));
            let (done, rest) = (bar(filled, "#"), bar(WIDTH - filled, "."));
            format!("{step} [{done}{rest}] {rows} of {all} rows, {mebibytes} MiB")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_fills() {
        let progress = |rows, of_rows| Progress {
            step: "Verifying",
            rows,
            bytes: 3 * 1024 * 1024,
            of_rows,
        };
        assert_eq!(line(&progress(7, None)), "Verifying: 7 rows, 3 MiB");
        let half = line(&progress(50, Some(100)));
        assert!(
            half.contains("[###############...............] 50 of 100 rows"),
            "{half}"
        );
        for (rows, all) in [(0, 0), (9, 3)] {
            assert!(!line(&progress(rows, Some(all))).contains('.'));
        }
    }
}
