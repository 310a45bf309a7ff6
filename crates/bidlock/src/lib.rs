//! bidlock
