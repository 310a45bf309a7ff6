//! TLS as `sslmode` asks for it, with rustls.

use std::sync::{Arc, LazyLock};

use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
};
use tokio_postgres_rustls::MakeRustlsConnect;

/// Whose certificate is good enough: the words of libpq.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Trust {
    /// `disable`: no TLS.
    Off,
    /// `prefer`, the default: TLS where the server has it, whoever it is.
    Prefer,
    /// `require`: TLS, whoever it is.
    Anybody,
    /// `verify-ca`, `verify-full`, or `require` with `sslrootcert`: certificate and name are checked, against the
    /// file, or the system's own roots.
    Verified(Option<String>),
}

static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| Arc::new(ring::default_provider()));

impl Trust {
    pub(crate) fn of(mode: Option<&str>, root: Option<&str>) -> Result<Trust, String> {
        let root = root.filter(|file| *file != "system").map(str::to_owned);
        Ok(match mode {
            Some("disable" | "allow" | "false") => Trust::Off,
            None | Some("prefer") => Trust::Prefer,
            Some("require" | "true") if root.is_some() => Trust::Verified(root),
            Some("require" | "true") => Trust::Anybody,
            Some("verify-ca" | "verify-full") => Trust::Verified(root),
            Some(other) => {
                let known = "disable, prefer, require, verify-ca, verify-full";
                return Err(format!("`sslmode={other}` is not known; there are {known}"));
            }
        })
    }

    /// What the driver connects with.
    pub(crate) fn connector(&self) -> Result<MakeRustlsConnect, String> {
        let builder = ClientConfig::builder_with_provider(Arc::clone(&PROVIDER))
            .with_safe_default_protocol_versions()
            .map_err(|e| e.to_string())?;
        let config = match self {
            Trust::Verified(root) => {
                let roots = Arc::new(roots(root.as_deref())?);
                let verifier = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&PROVIDER))
                    .build()
                    .map_err(|e| e.to_string())?;
                builder.with_webpki_verifier(verifier).with_no_client_auth()
            }
            _ => {
                builder.dangerous().with_custom_certificate_verifier(Arc::new(NoCheck)).with_no_client_auth()
            }
        };
        Ok(MakeRustlsConnect::new(config))
    }
}

fn roots(file: Option<&str>) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    match file {
        Some(file) => {
            let unreadable = |e: &dyn std::fmt::Display| format!("sslrootcert {file}: {e}");
            for certificate in CertificateDer::pem_file_iter(file).map_err(|e| unreadable(&e))? {
                let certificate = certificate.map_err(|e| unreadable(&e))?;
                roots.add(certificate).map_err(|e| unreadable(&e))?;
            }
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    match roots.is_empty() {
        true => {
            Err("there is no certificate to check the server's against; name one by sslrootcert".to_owned())
        }
        false => Ok(roots),
    }
}

/// `require` and `prefer` promise encryption and no identity, as they do in libpq.
#[derive(Debug)]
struct NoCheck;

impl ServerCertVerifier for NoCheck {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &PROVIDER.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &PROVIDER.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        PROVIDER.signature_verification_algorithms.supported_schemes()
    }
}
