//! One suite of cases for every backend.
