//! Several nodes as one: what they answer together while nodes and networks fail.

mod history;
mod relay;
