/* The fields that most events carry: a small flat dict of harmless scalars (`coerce.Normaliser.fast`).
 *
 * What is not surely harmless is left to Python. The rules come from there, as the same tables that
 * it uses, so that there is one definition of what is suspicious. */
#include "speedups.h"

#include <ctype.h>
#include <string.h>

/* What a byte of a text may be. */
enum {
    MARKED = 1, OF_RUN = 2, OF_DIGITS = 4, OF_PREFIX = 8, DASH = 16, BETWEEN = 32, HEX = 64,
};

/* And of which words it is the last byte, the one before, the one before that: a bit for each. */
#define LAST 16
#define LAST_BUT_ONE 32
#define LAST_BUT_TWO 48

static bool take_words(FieldRules *rules, PyObject *words)
{
    Py_ssize_t count = PyTuple_GET_SIZE(words);
    if (count > MAX_WORDS)
        return false;
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *given = PyTuple_GET_ITEM(words, i);
        if (!PyBytes_CheckExact(given) || PyBytes_GET_SIZE(given) < 2
            || PyBytes_GET_SIZE(given) > MAX_WORD)
            return false;
        Word *word = &rules->words[i];
        word->size = PyBytes_GET_SIZE(given);
        memcpy(word->text, PyBytes_AS_STRING(given), (size_t)word->size);
        const unsigned char *end = (const unsigned char *)word->text + word->size;
        uint64_t bit = 1ull << i;
        rules->traits[end[-1]] |= bit << LAST;
        rules->traits[end[-2]] |= bit << LAST_BUT_ONE;
        for (int byte = 0; byte < 256; byte++)
            if (word->size == 2 || end[-3] == byte)
                rules->traits[byte] |= bit << LAST_BUT_TWO;
    }
    return true;
}

bool take_tables(FieldRules *rules, PyObject *kinds, PyObject *digits, int mark, PyObject *words)
{
    if (PyBytes_GET_SIZE(kinds) != 256 || PyBytes_GET_SIZE(digits) != 256 || rules->run < 1
        || rules->digit_run < 1)
        return false;
    for (int byte = 0; byte < 256; byte++) {
        int kind = (unsigned char)PyBytes_AS_STRING(kinds)[byte];
        int digit = (unsigned char)PyBytes_AS_STRING(digits)[byte];
        bool hex = byte < 128 && isxdigit(byte);
        rules->traits[byte] = (uint64_t)((kind == mark ? MARKED : 0) | (kind == 'a' ? OF_RUN : 0)
                                         | (digit == '0' ? OF_DIGITS : 0)
                                         | (digit == 'k' ? OF_PREFIX : 0)
                                         | (digit == '.' ? BETWEEN : 0) | (hex ? HEX : 0));
    }
    /* What JSON escapes, and what a name and its value stand between. */
    for (int byte = 0; byte < 32; byte++)
        rules->traits[byte] |= MARKED;
    rules->traits['"'] |= MARKED;
    rules->traits['\\'] |= MARKED;
    rules->traits[':'] |= MARKED;
    rules->traits['-'] |= DASH;
    return take_words(rules, words);
}

/* Whether `length` bytes with a trait stand together. Looks at every `length`-th byte, and back from
 * there: what is no such run is mostly skipped. */
static bool has_run(const FieldRules *rules, const unsigned char *text, Py_ssize_t size,
                    uint64_t trait, int length)
{
    Py_ssize_t clear = 0; /* no run begins before here */
    for (Py_ssize_t at = length - 1; at < size; at = clear + length - 1) {
        Py_ssize_t back = at;
        while (back >= clear && rules->traits[text[back]] & trait)
            back--;
        if (back < clear)
            return true;
        clear = back + 1;
    }
    return false;
}

/* Whether one of some words, as bits, is in a text. */
static bool has_word(const FieldRules *rules, const unsigned char *text, Py_ssize_t size,
                     uint64_t which)
{
    for (const Word *word = rules->words; which; which >>= 1, word++)
        for (Py_ssize_t at = 0; which & 1 && at + word->size <= size; at++)
            if (!memcmp(text + at, word->text, (size_t)word->size))
                return true;
    return false;
}

/* Whether a vendor's prefix ends somewhere, should what follows it be a dash. */
static bool has_prefix(const FieldRules *rules, const unsigned char *text, Py_ssize_t size)
{
    for (Py_ssize_t i = 1; i < size; i++)
        if (rules->traits[text[i]] & OF_DIGITS && rules->traits[text[i - 1]] & OF_PREFIX)
            return true;
    return false;
}

/* Whether digits stand together as on a card, in groups of four, or of six, and what is between
 * them. */
static bool has_groups(const FieldRules *rules, const unsigned char *text, Py_ssize_t size)
{
    int digits = 0, group = 0;
    for (Py_ssize_t i = 0; i < size; i++) {
        if (text[i] >= '0' && text[i] <= '9') {
            group++;
            if (++digits >= rules->digit_run)
                return true;
        }
        else {
            if (!(rules->traits[text[i]] & BETWEEN && (group == 4 || group == 6)))
                digits = 0;
            group = 0;
        }
    }
    return false;
}

static bool all_hex(const FieldRules *rules, const unsigned char *text, Py_ssize_t size)
{
    uint64_t every = HEX;
    for (Py_ssize_t i = 0; i < size; i++)
        every &= rules->traits[text[i]];
    return every;
}

/* Whether a text is a UUID and nothing else: it may have the digits of a card number, and is none. */
static bool is_uuid(const FieldRules *rules, const unsigned char *text, Py_ssize_t size)
{
    return size == 36 && text[8] == '-' && text[13] == '-' && text[18] == '-' && text[23] == '-'
        && all_hex(rules, text, 8) && all_hex(rules, text + 9, 4) && all_hex(rules, text + 14, 4)
        && all_hex(rules, text + 19, 4) && all_hex(rules, text + 24, 12);
}

/* Whether an ASCII text holds nothing that wants a closer look. */
static bool harmless_text(const FieldRules *rules, const unsigned char *text, Py_ssize_t size)
{
    /* What stands before the text is any byte, so that two letters can be all of a word. */
    uint64_t seen = 0, ends = 0, before = ~0ull << LAST_BUT_TWO, before_that = 0;
    for (Py_ssize_t i = 0; i < size; i++) {
        uint64_t traits = rules->traits[text[i]];
        seen |= traits;
        ends |= traits >> LAST & before >> LAST_BUT_ONE & before_that >> LAST_BUT_TWO;
        before_that = before;
        before = traits;
    }
    ends &= (1ull << MAX_WORDS) - 1;
    if (seen & MARKED || has_run(rules, text, size, OF_RUN, rules->run)
        || (ends && has_word(rules, text, size, ends))
        || (seen & BETWEEN && seen & OF_DIGITS && size > rules->digit_run
            && has_groups(rules, text, size)))
        return false;
    return !(seen & DASH) || is_uuid(rules, text, size)
        || !((seen & OF_PREFIX && has_prefix(rules, text, size))
             || has_run(rules, text, size, OF_DIGITS, rules->digit_run));
}

/* -- their JSON ---------------------------------------------------------------------------------- */

/* Fields that are looked at and, as far as that is done here, written. */
typedef struct {
    const FieldRules *rules;
    Json *json;
    long long length; /* of all texts */
    bool whole;       /* whether all of it could be written */
} Walk;

static void add(Walk *walk, const char *text, Py_ssize_t size)
{
    Json *json = walk->json;
    walk->whole = walk->whole && json->text.size + size <= JSON_SPACE;
    if (walk->whole) {
        memcpy(json->space + json->text.size, text, (size_t)size);
        json->text.size += size;
    }
}

static void add_int(Walk *walk, long long number)
{
    char digits[24], *at = digits + sizeof digits;
    unsigned long long left = number < 0 ? 0 - (unsigned long long)number : (unsigned long long)number;
    do
        *--at = (char)('0' + left % 10);
    while (left /= 10);
    if (number < 0)
        *--at = '-';
    add(walk, at, digits + sizeof digits - at);
}

/* Add one value if it is a harmless scalar. */
static bool add_value(Walk *walk, PyObject *value)
{
    const FieldRules *rules = walk->rules;
    if (PyUnicode_CheckExact(value)) {
        Py_ssize_t size = PyUnicode_GET_LENGTH(value);
        walk->length += size;
        if (walk->length > rules->max_length || !PyUnicode_IS_COMPACT_ASCII(value)
            || !harmless_text(rules, PyUnicode_1BYTE_DATA(value), size))
            return false;
        /* Nothing in it is escaped in JSON: all of that is marked. */
        add(walk, "\"", 1);
        add(walk, (const char *)PyUnicode_1BYTE_DATA(value), size);
        add(walk, "\"", 1);
        return true;
    }
    if (value == Py_None) {
        add(walk, "null", 4);
        return true;
    }
    if (PyBool_Check(value)) {
        add(walk, value == Py_True ? "true" : "false", value == Py_True ? 4 : 5);
        return true;
    }
    if (PyLong_CheckExact(value)) {
        int overflow;
        long long number = PyLong_AsLongLongAndOverflow(value, &overflow);
        add_int(walk, number);
        return !overflow && -rules->max_int < number && number < rules->max_int;
    }
    if (PyFloat_CheckExact(value)) {
        double number = PyFloat_AS_DOUBLE(value);
        walk->whole = false; /* its shortest form is for who knows how */
        return (double)-rules->max_int < number && number < (double)rules->max_int;
    }
    return false;
}

static bool add_members(Walk *walk, PyObject *fields)
{
    PyObject *name, *value;
    Py_ssize_t at = 0;
    add(walk, "{", 1);
    while (PyDict_Next(fields, &at, &name, &value)) {
        /* The exact type first: hashing another one would run foreign code. */
        if (!PyUnicode_CheckExact(name) || PySet_Contains(walk->rules->vetted, name) != 1
            || !PyUnicode_IS_COMPACT_ASCII(name))
            return false;
        if (walk->json->text.size > 1)
            add(walk, ",", 1);
        /* A name that was vetted has nothing that is escaped. */
        add(walk, "\"", 1);
        add(walk, (const char *)PyUnicode_1BYTE_DATA(name), PyUnicode_GET_LENGTH(name));
        add(walk, "\":", 2);
        if (!add_value(walk, value))
            return false;
    }
    add(walk, "}", 1);
    return true;
}

/* Whether a dict is small, also in the places that it keeps of what was deleted: all of them are
 * walked over. */
static bool is_small(const FieldRules *rules, PyObject *fields)
{
    if (PyDict_GET_SIZE(fields) > rules->max_fields)
        return false;
    PyObject *table = PyObject_CallOneArg(rules->sizeof_dict, fields);
    if (!table)
        return false;
    long long bytes = PyLong_AsLongLong(table);
    Py_DECREF(table);
    return 0 <= bytes && bytes <= rules->max_table;
}

bool harmless_json(const FieldRules *rules, PyObject *fields, Json *json)
{
    Walk walk = {.rules = rules, .json = json, .whole = true};
    json->owner = NULL;
    json->text = (Text){json->space, 0};
    if (!PyDict_CheckExact(fields) || !is_small(rules, fields) || !add_members(&walk, fields))
        return false;
    if (walk.whole)
        return true;
    /* Nothing ran since that could have changed the dict: what was looked at is what is encoded. */
    json->owner = PyObject_CallOneArg(rules->encode, fields);
    if (json->owner && PyBytes_CheckExact(json->owner)) {
        json->text = (Text){PyBytes_AS_STRING(json->owner), PyBytes_GET_SIZE(json->owner)};
        return true;
    }
    Py_CLEAR(json->owner);
    return false;
}
