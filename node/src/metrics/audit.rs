//! How the audit log fares. Vault's names; its alerts look at the failures, which are there from the start.

use prometheus::{IntCounter, Registry};

use crate::audit::Stage;
use crate::error::Error;

/// Counts lines.
pub struct AuditMetrics {
    requests: Lines,
    responses: Lines,
}

struct Lines {
    written: IntCounter,
    failed: IntCounter,
}

impl AuditMetrics {
    /// Counters at zero.
    ///
    /// # Errors
    /// [`Error::Bug`] when the library refuses a name.
    pub fn new() -> Result<Self, Error> {
        let lines = |stage: &str| -> prometheus::Result<Lines> {
            let name = format!("vault_audit_log_{stage}");
            Ok(Lines {
                written: IntCounter::new(
                    format!("{name}_total"),
                    format!(
                        "Lines of the audit log for a {stage}, written to at least one device."
                    ),
                )?,
                failed: IntCounter::new(
                    format!("{name}_failure"),
                    format!("Lines of the audit log for a {stage} that no device took."),
                )?,
            })
        };
        let build = || {
            Ok(Self {
                requests: lines("request")?,
                responses: lines("response")?,
            })
        };
        build().map_err(super::refused)
    }

    /// Counts a line.
    pub fn written(&self, stage: Stage, is_written: bool) {
        let lines = self.of(stage);
        if is_written {
            &lines.written
        } else {
            &lines.failed
        }
        .inc();
    }

    /// How many lines were lost.
    pub fn failures(&self, stage: Stage) -> u64 {
        self.of(stage).failed.get()
    }

    /// Has the counters shown by `registry`.
    ///
    /// # Errors
    /// [`Error::Bug`] when they are already.
    pub fn register(&self, registry: &Registry) -> Result<(), Error> {
        for lines in [&self.requests, &self.responses] {
            for counter in [&lines.written, &lines.failed] {
                registry
                    .register(Box::new(counter.clone()))
                    .map_err(super::refused)?;
            }
        }
        Ok(())
    }

    fn of(&self, stage: Stage) -> &Lines {
        match stage {
            Stage::Request => &self.requests,
            Stage::Response => &self.responses,
        }
    }
}
