/* SHA-256 (FIPS 180-4), for the hash of a record while the interpreter's lock is not held, where
 * hashlib cannot be called. The tests hold it against hashlib. */
#include "leaf.h"

#define BLOCK 64

static const uint32_t K[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static const uint32_t BEGIN[8] = {
    0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
};

typedef void (*Compress)(uint32_t state[8], const unsigned char *data, size_t blocks);

static inline uint32_t turn(uint32_t word, int by)
{
    return word >> by | word << (32 - by);
}

static inline uint32_t load(const unsigned char *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

/* One round; instead of moving eight words along, each call names them one place further on. */
#define ROUND(a, b, c, d, e, f, g, h, t)                                                         \
    do {                                                                                         \
        uint32_t first = h + (turn(e, 6) ^ turn(e, 11) ^ turn(e, 25)) + (g ^ (e & (f ^ g)))      \
            + K[t] + w[t];                                                                       \
        d += first;                                                                              \
        h = first + (turn(a, 2) ^ turn(a, 13) ^ turn(a, 22)) + ((a & b) | (c & (a | b)));        \
    } while (0)

static void compress_anywhere(uint32_t state[8], const unsigned char *data, size_t blocks)
{
    for (; blocks; blocks--, data += BLOCK) {
        uint32_t w[64];
        for (int t = 0; t < 16; t++)
            w[t] = load(data + 4 * t);
        for (int t = 16; t < 64; t++) {
            uint32_t early = w[t - 15], late = w[t - 2];
            w[t] = w[t - 16] + (turn(early, 7) ^ turn(early, 18) ^ early >> 3) + w[t - 7]
                 + (turn(late, 17) ^ turn(late, 19) ^ late >> 10);
        }
        uint32_t v[8];
        memcpy(v, state, sizeof v);
        for (int t = 0; t < 64; t += 8) {
            ROUND(v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7], t);
            ROUND(v[7], v[0], v[1], v[2], v[3], v[4], v[5], v[6], t + 1);
            ROUND(v[6], v[7], v[0], v[1], v[2], v[3], v[4], v[5], t + 2);
            ROUND(v[5], v[6], v[7], v[0], v[1], v[2], v[3], v[4], t + 3);
            ROUND(v[4], v[5], v[6], v[7], v[0], v[1], v[2], v[3], t + 4);
            ROUND(v[3], v[4], v[5], v[6], v[7], v[0], v[1], v[2], t + 5);
            ROUND(v[2], v[3], v[4], v[5], v[6], v[7], v[0], v[1], t + 6);
            ROUND(v[1], v[2], v[3], v[4], v[5], v[6], v[7], v[0], t + 7);
        }
        for (int i = 0; i < 8; i++)
            state[i] += v[i];
    }
}

#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
#include <cpuid.h>
#include <immintrin.h>

/* The instructions keep the state as the words ABEF and CDGH, highest first. */
__attribute__((target("sha,sse4.1,ssse3"))) static void
compress_x86(uint32_t state[8], const unsigned char *data, size_t blocks)
{
    const __m128i big_endian = _mm_set_epi64x(0x0c0d0e0f08090a0bLL, 0x0405060700010203LL);
    __m128i abef = _mm_set_epi32((int)state[0], (int)state[1], (int)state[4], (int)state[5]);
    __m128i cdgh = _mm_set_epi32((int)state[2], (int)state[3], (int)state[6], (int)state[7]);
    for (; blocks; blocks--, data += BLOCK) {
        const __m128i abef_before = abef, cdgh_before = cdgh;
        __m128i w[4];
#pragma GCC unroll 16
        for (int i = 0; i < 16; i++) {
            if (i < 4) {
                w[i] = _mm_loadu_si128((const __m128i *)(data + 16 * i));
                w[i] = _mm_shuffle_epi8(w[i], big_endian);
            }
            else {
                __m128i seven_back = _mm_alignr_epi8(w[(i + 3) & 3], w[(i + 2) & 3], 4);
                __m128i next = _mm_sha256msg1_epu32(w[i & 3], w[(i + 1) & 3]);
                next = _mm_add_epi32(next, seven_back);
                w[i & 3] = _mm_sha256msg2_epu32(next, w[(i + 3) & 3]);
            }
            __m128i round = _mm_loadu_si128((const __m128i *)(K + 4 * i));
            round = _mm_add_epi32(round, w[i & 3]);
            cdgh = _mm_sha256rnds2_epu32(cdgh, abef, round);
            round = _mm_shuffle_epi32(round, 0x0e);
            abef = _mm_sha256rnds2_epu32(abef, cdgh, round);
        }
        abef = _mm_add_epi32(abef, abef_before);
        cdgh = _mm_add_epi32(cdgh, cdgh_before);
    }
    uint32_t found[8];
    _mm_storeu_si128((__m128i *)found, abef);
    _mm_storeu_si128((__m128i *)(found + 4), cdgh);
    static const int places[8] = {3, 2, 7, 6, 1, 0, 5, 4};
    for (int i = 0; i < 8; i++)
        state[i] = found[places[i]];
}

static bool has_sha_instructions(void)
{
    unsigned a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_SSSE3) || !(c & bit_SSE4_1))
        return false;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & (1u << 29));
}

#else
#define has_sha_instructions() false
#define compress_x86 compress_anywhere
#endif

static void hash(Compress compress, const char *body, size_t length, char hex[64])
{
    uint32_t state[8];
    memcpy(state, BEGIN, sizeof state);
    unsigned char block[2 * BLOCK] = {0};
    /* The first byte is the prefix of a leaf: 63 of the body follow it. */
    size_t head = length < BLOCK - 1 ? length : BLOCK - 1;
    memcpy(block + 1, body, head);
    size_t filled = 1 + head;
    if (filled == BLOCK) {
        compress(state, block, 1);
        size_t whole = (length - head) / BLOCK;
        compress(state, (const unsigned char *)body + head, whole);
        size_t done = head + whole * BLOCK;
        filled = length - done;
        memset(block, 0, sizeof block);
        memcpy(block, body + done, filled);
    }
    block[filled++] = '}';
    block[filled++] = 0x80;
    size_t blocks = filled <= BLOCK - 8 ? 1 : 2;
    uint64_t bits = (uint64_t)(length + 2) * 8;
    for (int i = 1; i <= 8; i++, bits >>= 8)
        block[blocks * BLOCK - (size_t)i] = (unsigned char)bits;
    compress(state, block, blocks);
    for (int word = 0; word < 8; word++)
        for (int digit = 0; digit < 8; digit++, state[word] <<= 4)
            *hex++ = "0123456789abcdef"[state[word] >> 28];
}

static Compress chosen = compress_anywhere;

void choose_hash(void)
{
    chosen = has_sha_instructions() ? compress_x86 : compress_anywhere;
}

void leaf_hash(const char *body, size_t length, char hex[64])
{
    hash(chosen, body, length, hex);
}

void leaf_hash_anywhere(const char *body, size_t length, char hex[64])
{
    hash(compress_anywhere, body, length, hex);
}

void node_hash(const unsigned char pair[2 * DIGEST_SIZE], unsigned char node[DIGEST_SIZE])
{
    uint32_t state[8];
    memcpy(state, BEGIN, sizeof state);
    unsigned char block[2 * BLOCK] = {1};
    memcpy(block + 1, pair, 2 * DIGEST_SIZE);
    block[1 + 2 * DIGEST_SIZE] = 0x80;
    const unsigned bits = 8 * (1 + 2 * DIGEST_SIZE);
    block[2 * BLOCK - 2] = bits >> 8;
    block[2 * BLOCK - 1] = bits & 0xff;
    chosen(state, block, 2);
    for (int word = 0; word < 8; word++)
        for (int byte = 0; byte < 4; byte++, state[word] <<= 8)
            *node++ = (unsigned char)(state[word] >> 24);
}
