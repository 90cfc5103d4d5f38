//! Several nodes as one: what they answer together while nodes and networks fail.

mod chaos;
mod figures;
mod history;
mod invalidation;
mod relay;
mod sealing;
pub mod wired;
