//! bidlock-sqlite
