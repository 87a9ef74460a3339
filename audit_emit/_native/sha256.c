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

#define RUNS 3

/* A message that is hashed: what is left of it, as up to three runs of whole blocks. */
typedef struct {
    uint32_t state[8];
    const unsigned char *at[RUNS];
    size_t blocks[RUNS];
    int run;                        /* the first of them that is not done */
    unsigned char edges[3 * BLOCK]; /* the first block, and the last one or two */
} Message;

/* Takes so many blocks of the same run of each of up to LANES messages. */
typedef void (*Compress)(Message *const messages[], int count, size_t blocks);

static inline uint32_t turn(uint32_t word, int by)
{
    return word >> by | word << (32 - by);
}

static inline uint32_t load(const unsigned char *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static void compress_one(uint32_t state[8], const unsigned char *data, size_t blocks)
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
        /* Instead of moving the words a to h, each round names them one place further on. */
        for (int t = 0; t < 64; t += 8)
#pragma GCC unroll 8
            for (int i = 0; i < 8; i++) {
#define V(letter) v[(letter - 'a' + 8 - i) & 7]
                uint32_t first = V('h') + (turn(V('e'), 6) ^ turn(V('e'), 11) ^ turn(V('e'), 25))
                    + (V('g') ^ (V('e') & (V('f') ^ V('g')))) + K[t + i] + w[t + i];
                V('d') += first;
                V('h') = first + (turn(V('a'), 2) ^ turn(V('a'), 13) ^ turn(V('a'), 22))
                    + ((V('a') & V('b')) | (V('c') & (V('a') | V('b'))));
            }
        for (int i = 0; i < 8; i++)
            state[i] += v[i];
    }
}

static void compress_anywhere(Message *const messages[], int count, size_t blocks)
{
    for (int i = 0; i < count; i++)
        compress_one(messages[i]->state, messages[i]->at[messages[i]->run], blocks);
}

#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
#include <cpuid.h>
#include <immintrin.h>

#define WITH_SHA __attribute__((target("sha,sse4.1,ssse3")))

/* The instructions keep the state as the words ABEF and CDGH, highest first. Each waits for what the
 * one before it gives, so two messages side by side take little longer than one. */
WITH_SHA static inline __attribute__((always_inline)) void
side_by_side(Message *const messages[], const int count, size_t blocks)
{
    const __m128i big_endian = _mm_set_epi64x(0x0c0d0e0f08090a0bLL, 0x0405060700010203LL);
    __m128i abef[LANES], cdgh[LANES], abef_before[LANES], cdgh_before[LANES], w[LANES][4];
    const unsigned char *data[LANES];
    for (int m = 0; m < count; m++) {
        const int *state = (const int *)messages[m]->state;
        abef[m] = _mm_set_epi32(state[0], state[1], state[4], state[5]);
        cdgh[m] = _mm_set_epi32(state[2], state[3], state[6], state[7]);
        data[m] = messages[m]->at[messages[m]->run];
    }
    for (; blocks; blocks--) {
        for (int m = 0; m < count; m++) {
            abef_before[m] = abef[m];
            cdgh_before[m] = cdgh[m];
        }
#pragma GCC unroll 16
        for (int i = 0; i < 16; i++)
#pragma GCC unroll 2
            for (int m = 0; m < count; m++) {
                __m128i *words = w[m];
                if (i < 4) {
                    words[i] = _mm_loadu_si128((const __m128i *)(data[m] + 16 * i));
                    words[i] = _mm_shuffle_epi8(words[i], big_endian);
                }
                else {
                    __m128i seven_back = _mm_alignr_epi8(words[(i + 3) & 3], words[(i + 2) & 3], 4);
                    __m128i next = _mm_sha256msg1_epu32(words[i & 3], words[(i + 1) & 3]);
                    next = _mm_add_epi32(next, seven_back);
                    words[i & 3] = _mm_sha256msg2_epu32(next, words[(i + 3) & 3]);
                }
                __m128i round = _mm_loadu_si128((const __m128i *)(K + 4 * i));
                round = _mm_add_epi32(round, words[i & 3]);
                cdgh[m] = _mm_sha256rnds2_epu32(cdgh[m], abef[m], round);
                round = _mm_shuffle_epi32(round, 0x0e);
                abef[m] = _mm_sha256rnds2_epu32(abef[m], cdgh[m], round);
            }
        for (int m = 0; m < count; m++) {
            abef[m] = _mm_add_epi32(abef[m], abef_before[m]);
            cdgh[m] = _mm_add_epi32(cdgh[m], cdgh_before[m]);
            data[m] += BLOCK;
        }
    }
    for (int m = 0; m < count; m++) {
        static const int places[8] = {3, 2, 7, 6, 1, 0, 5, 4};
        uint32_t found[8];
        _mm_storeu_si128((__m128i *)found, abef[m]);
        _mm_storeu_si128((__m128i *)(found + 4), cdgh[m]);
        for (int i = 0; i < 8; i++)
            messages[m]->state[i] = found[places[i]];
    }
}

WITH_SHA static void compress_x86(Message *const messages[], int count, size_t blocks)
{
    if (count == LANES)
        side_by_side(messages, LANES, blocks);
    else
        side_by_side(messages, 1, blocks);
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

/* Set out a message: a byte before a body and a byte behind it, and what SHA-256 adds. */
static void begin(Message *message, unsigned char prefix, const char *body, size_t length, char last)
{
    size_t head = length < BLOCK - 1 ? length : BLOCK - 1, filled = 1 + head;
    unsigned char *edge = message->edges;
    memcpy(message->state, BEGIN, sizeof BEGIN);
    message->run = 2;
    edge[0] = prefix;
    memcpy(edge + 1, body, head);
    if (filled == BLOCK) {
        message->run = 0;
        message->at[0] = edge;
        message->blocks[0] = 1;
        message->at[1] = (const unsigned char *)body + head;
        message->blocks[1] = (length - head) / BLOCK;
        filled = (length - head) % BLOCK;
        edge += BLOCK;
        memcpy(edge, body + length - filled, filled);
    }
    edge[filled++] = (unsigned char)last;
    edge[filled++] = 0x80;
    message->at[2] = edge;
    message->blocks[2] = filled <= BLOCK - 8 ? 1 : 2;
    unsigned char *end = edge + message->blocks[2] * BLOCK;
    memset(edge + filled, 0, (size_t)(end - edge) - filled);
    for (uint64_t bits = (uint64_t)(length + 2) * 8; bits; bits >>= 8)
        *--end = (unsigned char)bits;
}

/* Hash up to LANES messages, side by side for as long as each has blocks. */
static void hash(Compress compress, Message messages[], int count, unsigned char *digests)
{
    for (;;) {
        Message *left[LANES];
        int busy = 0;
        size_t blocks = SIZE_MAX;
        for (int i = 0; i < count; i++) {
            Message *one = &messages[i];
            while (one->run < RUNS && !one->blocks[one->run])
                one->run++;
            if (one->run < RUNS) {
                left[busy++] = one;
                blocks = one->blocks[one->run] < blocks ? one->blocks[one->run] : blocks;
            }
        }
        if (!busy)
            break;
        compress(left, busy, blocks);
        for (int i = 0; i < busy; i++) {
            left[i]->at[left[i]->run] += blocks * BLOCK;
            left[i]->blocks[left[i]->run] -= blocks;
        }
    }
    for (int i = 0; i < count; i++)
        for (int word = 0; word < 8; word++, digests += 4) {
            uint32_t state = messages[i].state[word];
            digests[0] = (unsigned char)(state >> 24);
            digests[1] = (unsigned char)(state >> 16);
            digests[2] = (unsigned char)(state >> 8);
            digests[3] = (unsigned char)state;
        }
}

static Compress chosen = compress_anywhere;

void choose_hash(void)
{
    chosen = has_sha_instructions() ? compress_x86 : compress_anywhere;
}

void leaf_hashes(int count, const char *const bodies[], const size_t lengths[], unsigned char *digests,
                 bool anywhere)
{
    Message messages[LANES];
    for (int i = 0; i < count; i++)
        begin(&messages[i], 0, bodies[i], lengths[i], '}');
    hash(anywhere ? compress_anywhere : chosen, messages, count, digests);
}

void node_hashes(const unsigned char *pairs, size_t count, unsigned char *nodes)
{
    while (count > 0) {
        Message messages[LANES];
        int some = count < LANES ? (int)count : LANES;
        for (int i = 0; i < some; i++, pairs += 2 * DIGEST_SIZE)
            begin(&messages[i], 1, (const char *)pairs, 2 * DIGEST_SIZE - 1, (char)pairs[2 * DIGEST_SIZE - 1]);
        hash(chosen, messages, some, nodes);
        nodes += some * DIGEST_SIZE;
        count -= (size_t)some;
    }
}
