"""openssl: known answers, and a TLS connection between two of its own sides."""

from __future__ import annotations

from pathlib import Path

from slapos.testing.components import Component

DIGEST = r"""
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
static void show(const unsigned char *bytes, size_t size)
{ for (size_t i = 0; i < size; i++) printf("%02x", bytes[i]); puts(""); }
int main(void)
{
    unsigned char out[64];
    puts(OpenSSL_version(OPENSSL_VERSION_STRING));
    if (!EVP_Q_digest(NULL, "SHA256", NULL, "abc", 3, out, NULL)) return 1;
    show(out, 32);
    if (!EVP_PBE_scrypt("", 0, (const unsigned char *) "", 0, 16, 1, 1, 0, out, 64)) return 2;
    show(out, 16);
    EVP_CIPHER *blowfish = EVP_CIPHER_fetch(NULL, "BF-CBC", NULL);
    puts(blowfish ? "blowfish" : "no blowfish");
    return 0;
}
"""
HANDSHAKE = r"""
#include <openssl/ssl.h>
#include <stdio.h>
int main(int count, char **words)
{
    BIO *left, *right;
    SSL_CTX *serving = SSL_CTX_new(TLS_server_method()), *asking = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_verify(asking, SSL_VERIFY_PEER, NULL);
    if (SSL_CTX_use_certificate_file(serving, words[1], SSL_FILETYPE_PEM) != 1) return 1;
    if (SSL_CTX_use_PrivateKey_file(serving, words[2], SSL_FILETYPE_PEM) != 1) return 2;
    if (count > 3 && SSL_CTX_load_verify_file(asking, words[3]) != 1) return 3;
    SSL *server = SSL_new(serving), *client = SSL_new(asking);
    SSL_set1_host(client, "localhost");
    BIO_new_bio_pair(&left, 0, &right, 0);
    SSL_set_bio(server, left, left);
    SSL_set_bio(client, right, right);
    SSL_set_accept_state(server);
    SSL_set_connect_state(client);
    for (int turn = 0; turn < 10; turn++) { SSL_do_handshake(client); SSL_do_handshake(server); }
    printf("%s %s %ld\n", SSL_get_version(client), SSL_get_cipher(client), SSL_get_verify_result(client));
    return SSL_is_init_finished(client) ? 0 : 4;
}
"""


def test_known_answers(component: Component, tmp_path: Path) -> None:
    """FIPS 180-4 and RFC 7914; Blowfish is compiled, but nobody can use it without the legacy provider."""
    said = component.call(component.compile(tmp_path / "digest", DIGEST, "crypto")).text.splitlines()
    assert said == [
        "3.5.7",
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        "77d6576238657b203b19ca42c18a0497",
        "no blowfish",
    ]


def test_a_connection(component: Component, tmp_path: Path, certificate: Path) -> None:
    program = component.compile(tmp_path / "handshake", HANDSHAKE, "ssl", "crypto")
    files = [str(certificate), str(tmp_path / "key.pem")]
    done = component.call(program, *files, str(certificate))
    assert (done.code, done.text) == (0, "TLSv1.3 TLS_AES_256_GCM_SHA384 0\n")
    assert component.call(program, *files).code == 4, "a certificate that nobody vouches for"
