//! What the process takes from the machine, under the names that Prometheus' client libraries share.
//! Source: <https://prometheus.io/docs/instrumenting/writing_clientlibs/#process-metrics>.

use prometheus::core::{Collector, Desc};
use prometheus::{Counter, Gauge, Opts, proto::MetricFamily};
use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, clock_gettime};

use crate::clock::Timestamp;
use crate::error::Error;

/// Asks the system at each scrape.
pub(super) struct ProcessCollector {
    cpu: Counter,
    started: Gauge,
    open_files: Gauge,
    max_files: Gauge,
    resident: Gauge,
    virtual_memory: Gauge,
    locked: Gauge,
    threads: Gauge,
}

impl ProcessCollector {
    pub(super) fn new(started: Timestamp) -> Result<Self, Error> {
        let gauge = |name: &str, help: &str| {
            Gauge::with_opts(Opts::new(name, help)).map_err(super::refused)
        };
        let collector = Self {
            cpu: Counter::with_opts(Opts::new(
                "process_cpu_seconds_total",
                "Processor time spent, in seconds.",
            ))
            .map_err(super::refused)?,
            started: gauge("process_start_time_seconds", "Unix time of the start.")?,
            open_files: gauge("process_open_fds", "Open file descriptors.")?,
            max_files: gauge("process_max_fds", "How many may be open.")?,
            resident: gauge("process_resident_memory_bytes", "Memory in use.")?,
            virtual_memory: gauge("process_virtual_memory_bytes", "Memory in reach.")?,
            locked: gauge(
                "conclave_locked_memory_bytes",
                "Memory that is never swapped out.",
            )?,
            threads: gauge("process_threads", "Threads.")?,
        };
        collector.started.set(started.unix_seconds() as f64);
        Ok(collector)
    }

    fn gauges(&self) -> [&Gauge; 7] {
        [
            &self.started,
            &self.open_files,
            &self.max_files,
            &self.resident,
            &self.virtual_memory,
            &self.locked,
            &self.threads,
        ]
    }

    fn measure(&self) {
        let cpu = clock_gettime(ClockId::ProcessCPUTime);
        let seconds = cpu.tv_sec as f64 + cpu.tv_nsec as f64 / 1e9;
        self.cpu.inc_by((seconds - self.cpu.get()).max(0.0));
        if let Ok(files) = std::fs::read_dir("/proc/self/fd") {
            self.open_files.set(files.count() as f64);
        }
        if let Some(most) = getrlimit(Resource::Nofile).current {
            self.max_files.set(most as f64);
        }
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        for (name, gauge, unit) in [
            ("VmRSS:", &self.resident, 1024.0),
            ("VmSize:", &self.virtual_memory, 1024.0),
            ("VmLck:", &self.locked, 1024.0),
            ("Threads:", &self.threads, 1.0),
        ] {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let number = line.and_then(|line| line.split_ascii_whitespace().next());
            if let Some(number) = number.and_then(|number| number.parse::<f64>().ok()) {
                gauge.set(number * unit);
            }
        }
    }
}

impl Collector for ProcessCollector {
    fn desc(&self) -> Vec<&Desc> {
        let gauges = self.gauges().into_iter().flat_map(Collector::desc);
        self.cpu.desc().into_iter().chain(gauges).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.measure();
        let gauges = self.gauges().into_iter().flat_map(Collector::collect);
        self.cpu.collect().into_iter().chain(gauges).collect()
    }
}
