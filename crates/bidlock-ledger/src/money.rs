//! An amount of money: whole minor units and an ISO 4217 code, never a float.

use serde::{Deserialize, Serialize};

/// An ISO 4217 alphabetic code such as `USD`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Currency([u8; 3]);

impl Currency {
    /// US dollars.
    pub const USD: Currency = Currency(*b"USD");

    /// Three ASCII letters, in any case.
    ///
    /// # Errors
    /// The text is not three ASCII letters.
    pub fn new(code: &str) -> Result<Currency, InvalidCurrency> {
        match <[u8; 3]>::try_from(code.trim().as_bytes()) {
            Ok(b) if b.iter().all(u8::is_ascii_alphabetic) => Ok(Currency(b.map(|c| c.to_ascii_uppercase()))),
            _ => Err(InvalidCurrency(code.to_owned())),
        }
    }

    /// The code in upper case.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("XXX")
    }
}

impl std::fmt::Display for Currency {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::fmt::Debug for Currency {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl TryFrom<String> for Currency {
    type Error = InvalidCurrency;

    fn try_from(code: String) -> Result<Self, InvalidCurrency> {
        Currency::new(&code)
    }
}

impl From<Currency> for String {
    fn from(currency: Currency) -> String {
        currency.as_str().to_owned()
    }
}

/// The text is no currency code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a currency code; use three letters such as USD")]
pub struct InvalidCurrency(pub String);

/// An amount in the currency's minor unit (cents for USD, whole yen for JPY).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Money {
    /// Minor units.
    pub minor: i64,
    /// What they are units of.
    pub currency: Currency,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_three_letters() {
        assert_eq!(Currency::new("usd").unwrap(), Currency::USD);
        for bad in ["", "US", "USDT", "U$D", "ÄÖÜ"] {
            assert!(Currency::new(bad).is_err(), "{bad}");
        }
        let json = serde_json::to_string(&Money { minor: 1250, currency: Currency::USD }).unwrap();
        assert_eq!(json, r#"{"minor":1250,"currency":"USD"}"#);
        assert!(serde_json::from_str::<Money>(r#"{"minor":1,"currency":"€"}"#).is_err());
    }
}
