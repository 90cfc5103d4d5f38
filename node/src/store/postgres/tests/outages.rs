//! Servers that stop, hang, or are not the primary.
