//! Several nodes in one process: each with its own add-ons, change feed and cluster, on one store and one network, both in
//! memory and both with faults.

mod administration;
mod ceremonies;
mod handing_over;
mod sealing;
mod world;
