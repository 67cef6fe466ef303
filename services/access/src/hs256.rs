//! HS256, handed to the token library as all the cryptography there is in this process.
//!
//! Its own provider brings RSA and three elliptic curves, a tenth of a cold build, for tokens that nobody
//! issues here. Whoever checks tokens of an issuer outside turns that provider on instead and removes this
//! file.

use std::sync::Once;

use hmac::{Hmac, Mac};
use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{ErrorKind, Result};
use jsonwebtoken::signature::{Error, Signer, Verifier};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey};
use sha2::Sha256;

static HS256: CryptoProvider = CryptoProvider {
    signer_factory: signer,
    verifier_factory: verifier,
    key_utils: KeyUtils::new_unimplemented(),
};

/// Makes it the process' provider, unless there is one. Call it before a token is signed or checked.
pub(crate) fn install() {
    static ONCE: Once = Once::new();
    // One that somebody installed before knows HS256 as well.
    ONCE.call_once(|| {
        let _ = HS256.install_default();
    });
}

struct Key(Hmac<Sha256>);

impl Key {
    fn new(algorithm: &Algorithm, secret: &[u8]) -> Result<Box<Self>> {
        if *algorithm != Algorithm::HS256 {
            return Err(ErrorKind::InvalidAlgorithm.into());
        }
        let mac = Hmac::new_from_slice(secret).map_err(|_| ErrorKind::InvalidKeyFormat)?;
        Ok(Box::new(Self(mac)))
    }
}

fn signer(algorithm: &Algorithm, key: &EncodingKey) -> Result<Box<dyn JwtSigner>> {
    Ok(Key::new(algorithm, key.as_bytes())?)
}

fn verifier(algorithm: &Algorithm, key: &DecodingKey) -> Result<Box<dyn JwtVerifier>> {
    Ok(Key::new(algorithm, key.try_get_as_bytes()?)?)
}

impl Signer<Vec<u8>> for Key {
    fn try_sign(&self, message: &[u8]) -> std::result::Result<Vec<u8>, Error> {
        Ok(self.0.clone().chain_update(message).finalize().into_bytes().to_vec())
    }
}

impl Verifier<Vec<u8>> for Key {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> std::result::Result<(), Error> {
        self.0.clone().chain_update(message).verify_slice(signature).map_err(|_| Error::new())
    }
}

impl JwtSigner for Key {
    fn algorithm(&self) -> Algorithm {
        Algorithm::HS256
    }
}

impl JwtVerifier for Key {
    fn algorithm(&self) -> Algorithm {
        Algorithm::HS256
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// The example of RFC 7515, appendix A.1.
    const SECRET: &str =
        "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ+EstJQLr/T+1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow==";
    const MESSAGE: &str = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkz\
                           ODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
    const SIGNATURE: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

    #[test]
    fn the_standards_example_is_signed_and_checked() {
        install();
        let key = EncodingKey::from_base64_secret(SECRET).unwrap();
        let signed = jsonwebtoken::crypto::sign(MESSAGE.as_bytes(), &key, Algorithm::HS256).unwrap();
        assert_eq!(signed, SIGNATURE);
        let key = DecodingKey::from_base64_secret(SECRET).unwrap();
        let check = |signature, message: &str| {
            jsonwebtoken::crypto::verify(signature, message.as_bytes(), &key, Algorithm::HS256).unwrap()
        };
        assert!(check(SIGNATURE, MESSAGE));
        assert!(!check(SIGNATURE, &MESSAGE[1..]));
        assert!(!check("", MESSAGE) && !check(&SIGNATURE[..40], MESSAGE));
    }

    #[test]
    fn no_other_algorithm_is_known() {
        let key = EncodingKey::from_secret(b"secret");
        assert!(signer(&Algorithm::HS384, &key).is_err());
        assert!(verifier(&Algorithm::ES256, &DecodingKey::from_ec_der(b"key")).is_err());
    }
}
