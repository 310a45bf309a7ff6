//! bidlock-pipeline
