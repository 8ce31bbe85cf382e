/* hash.c: SHA-256 of memory and of files, by OpenSSL's libcrypto. */
#include "base/file.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"

struct cb_sha256 {
    EVP_MD_CTX *context;
};

struct cb_sha256 *cb_sha256_create(void)
{
    struct cb_sha256 *sha = calloc(1, sizeof(*sha));
    if (!sha) {
        return NULL;
    }
    sha->context = EVP_MD_CTX_new();
    if (!sha->context || EVP_DigestInit_ex(sha->context, EVP_sha256(), NULL) != 1) {
        EVP_MD_CTX_free(sha->context);
        free(sha);
        return NULL;
    }
    return sha;
}

void cb_sha256_add(struct cb_sha256 *sha, const void *data, size_t bytes)
{
    EVP_DigestUpdate(sha->context, data, bytes);
}

void cb_sha256_finish(struct cb_sha256 *sha, char hex[65])
{
    static const char DIGITS[] = "0123456789abcdef";
    unsigned char digest[EVP_MAX_MD_SIZE] = {0};
    EVP_DigestFinal_ex(sha->context, digest, NULL);
    for (size_t i = 0; i < 32; i++) {
        hex[2 * i] = DIGITS[digest[i] >> 4];
        hex[2 * i + 1] = DIGITS[digest[i] & 15];
    }
    hex[64] = '\0';
    EVP_MD_CTX_free(sha->context);
    free(sha);
}

void cb_sha256_of(const void *data, size_t bytes, char hex[65])
{
    struct cb_sha256 *sha = cb_sha256_create();
    if (!sha) {
        hex[0] = '\0'; /* equals no hash */
        return;
    }
    cb_sha256_add(sha, data, bytes);
    cb_sha256_finish(sha, hex);
}

enum cb_status cb_sha256_of_file(const char *path, char hex[65], struct cb_diag *diag)
{
    enum { BLOCK_BYTES = 1 << 16 };
    enum cb_status status = CB_OK;
    FILE *stream = fopen(path, "rb");
    if (!stream) {
        return cb__fail_errno(diag, NULL, errno, "opening", path);
    }
    unsigned char *block = malloc(BLOCK_BYTES);
    struct cb_sha256 *sha = cb_sha256_create();
    if (!block || !sha) {
        status = cb_fail(diag, CB_MEMORY, NULL, "out of memory while hashing `%s`", path);
        goto free_all;
    }
    size_t got;
    while ((got = fread(block, 1, BLOCK_BYTES, stream)) > 0) {
        cb_sha256_add(sha, block, got);
    }
    if (ferror(stream)) {
        status = cb__fail_errno(diag, NULL, errno, "reading", path);
        goto free_all;
    }
    cb_sha256_finish(sha, hex);
    sha = NULL;

free_all:
    if (sha) {
        char ignored[65];
        cb_sha256_finish(sha, ignored);
    }
    free(block);
    fclose(stream);
    return status;
}
