//! bidlock-market
