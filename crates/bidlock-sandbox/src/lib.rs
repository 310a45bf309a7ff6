//! bidlock-sandbox
