/**
 * A certificate for tests, which nobody else trusts: its key is public.
 *
 * @module
 */

/** The private key, as PEM. */
export const KEY = `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgTYVUacIvudSkgZg8
zG4HR4gP5hNnElNc6n+zlcDVkmuhRANCAAS+X5bzIobrqWa12xWGuNpIv8ze9HrD
RERsnEn+59G87T2kHB92vUz2KSy5pwnQ4PMSJXB/AdfwfzvFsEYEs/nJ
-----END PRIVATE KEY-----
`;

/** The certificate of `test.invalid`, as PEM; valid for 100 years. */
export const CERTIFICATE = `-----BEGIN CERTIFICATE-----
MIIBnTCCAUSgAwIBAgIUQCw/2YBvNTMn0qTDLFJWpXseADswCgYIKoZIzj0EAwIw
FzEVMBMGA1UEAwwMdGVzdC5pbnZhbGlkMCAXDTI2MTEyNDEzMjU1OVoYDzIxMjYx
MDMxMTMyNTU5WjAXMRUwEwYDVQQDDAx0ZXN0LmludmFsaWQwWTATBgcqhkjOPQIB
BggqhkjOPQMBBwNCAAS+X5bzIobrqWa12xWGuNpIv8ze9HrDRERsnEn+59G87T2k
HB92vUz2KSy5pwnQ4PMSJXB/AdfwfzvFsEYEs/nJo2wwajAdBgNVHQ4EFgQULX6F
u7IOwdNlQBbiEpiPFrEhVq8wHwYDVR0jBBgwFoAULX6Fu7IOwdNlQBbiEpiPFrEh
Vq8wDwYDVR0TAQH/BAUwAwEB/zAXBgNVHREEEDAOggx0ZXN0LmludmFsaWQwCgYI
KoZIzj0EAwIDRwAwRAIgMx88N4S81i333Y2HmW661exelAhvxvdUF4t9/1v5Q5gC
IAHZM2I8zinYYy5ad2j2OOJ0m4JEaVoyMnrKXVXCQxEL
-----END CERTIFICATE-----
`;
