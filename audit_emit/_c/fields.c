/* The fields that most events carry: a small flat dict of harmless scalars (`coerce.Normaliser.fast`).
 *
 * What is not surely harmless is left to Python. The rules come from there, as the same tables that
 * it uses, so that there is one definition of what is suspicious. */
#include "speedups.h"

#include <string.h>

/* What a byte of the encoded fields may be. */
enum { MARKED = 1, OF_RUN = 2, OF_DIGITS = 4, OF_PREFIX = 8, COLON = 16, ENDING = 32, DASH = 64 };

static bool take_words(FieldRules *rules, PyObject *words)
{
    Py_ssize_t count = PyTuple_GET_SIZE(words);
    if (count > MAX_WORDS)
        return false;
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *given = PyTuple_GET_ITEM(words, i);
        if (!PyBytes_CheckExact(given) || PyBytes_GET_SIZE(given) < 1
            || PyBytes_GET_SIZE(given) > MAX_WORD)
            return false;
        Word *word = &rules->words[i];
        word->size = (unsigned char)PyBytes_GET_SIZE(given);
        memcpy(word->text, PyBytes_AS_STRING(given), word->size);
        unsigned char last = (unsigned char)word->text[word->size - 1];
        word->next = rules->ending[last];
        rules->ending[last] = (unsigned char)(i + 1);
        rules->traits[last] |= ENDING;
    }
    rules->word_count = (int)count;
    return true;
}

bool take_tables(FieldRules *rules, PyObject *kinds, PyObject *digits, int mark, PyObject *words)
{
    if (PyBytes_GET_SIZE(kinds) != 256 || PyBytes_GET_SIZE(digits) != 256)
        return false;
    for (int byte = 0; byte < 256; byte++) {
        int kind = (unsigned char)PyBytes_AS_STRING(kinds)[byte];
        int digit = (unsigned char)PyBytes_AS_STRING(digits)[byte];
        rules->traits[byte] = (unsigned char)((kind == mark ? MARKED : 0)
                                              | (kind == 'a' ? OF_RUN : 0)
                                              | (digit == '0' ? OF_DIGITS : 0)
                                              | (digit == 'k' ? OF_PREFIX : 0));
    }
    rules->traits[':'] |= COLON;
    rules->traits['-'] |= DASH;
    return take_words(rules, words);
}

/* Whether one value is a harmless scalar; adds the length of a text to *length. */
static bool plain_value(const FieldRules *rules, PyObject *value, long long *length)
{
    if (PyUnicode_CheckExact(value)) {
        *length += PyUnicode_GET_LENGTH(value);
        return true;
    }
    if (value == Py_None || PyBool_Check(value))
        return true;
    if (PyLong_CheckExact(value)) {
        int overflow;
        long long number = PyLong_AsLongLongAndOverflow(value, &overflow);
        return !overflow && -rules->max_int < number && number < rules->max_int;
    }
    if (PyFloat_CheckExact(value)) {
        double number = PyFloat_AS_DOUBLE(value);
        return (double)-rules->max_int < number && number < (double)rules->max_int;
    }
    return false;
}

static bool plain_members(const FieldRules *rules, PyObject *fields)
{
    PyObject *name, *value;
    Py_ssize_t at = 0;
    long long length = 0;
    while (PyDict_Next(fields, &at, &name, &value)) {
        /* The exact type first: hashing another one would run foreign code. */
        if (!PyUnicode_CheckExact(name) || PySet_Contains(rules->vetted, name) != 1
            || !plain_value(rules, value, &length))
            return false;
    }
    return length <= rules->max_length;
}

/* Whether the text up to `end` ends in one of the words. */
static bool ends_in_word(const FieldRules *rules, const char *text, const char *end)
{
    for (int next = rules->ending[(unsigned char)end[-1]]; next;) {
        const Word *word = &rules->words[next - 1];
        if (word->size <= end - text && !memcmp(end - word->size, word->text, word->size))
            return true;
        next = word->next;
    }
    return false;
}

/* Whether the encoded fields hold nothing that wants a closer look. */
static bool harmless(const FieldRules *rules, const char *text, Py_ssize_t length, Py_ssize_t names)
{
    int run = 0, digits = 0, longest = 0, most_digits = 0;
    unsigned seen = 0, before = 0, prefixes = 0;
    Py_ssize_t colons = 0;
    const char *end = text + length;
    for (const char *at = text; at < end; at++) {
        unsigned traits = rules->traits[(unsigned char)*at];
        if (traits & (MARKED | ENDING) && (traits & MARKED || ends_in_word(rules, text, at + 1)))
            return false;
        run = traits & OF_RUN ? run + 1 : 0;
        longest = run > longest ? run : longest;
        digits = traits & OF_DIGITS ? digits + 1 : 0;
        most_digits = digits > most_digits ? digits : most_digits;
        /* The end of a vendor's prefix, should what follows it be a dash. */
        prefixes |= before & OF_PREFIX && traits & OF_DIGITS;
        colons += (traits & COLON) != 0;
        seen |= traits;
        before = traits;
    }
    if (longest >= rules->run || colons != names)
        return false;
    return !(seen & DASH) || (!prefixes && most_digits < rules->digit_run);
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

PyObject *harmless_json(const FieldRules *rules, PyObject *fields)
{
    if (!PyDict_CheckExact(fields) || !is_small(rules, fields) || !plain_members(rules, fields))
        return NULL;
    /* Nothing ran since that could have changed the dict: what was looked at is what is encoded. */
    PyObject *json = PyObject_CallOneArg(rules->encode, fields);
    if (json
        && !(PyBytes_CheckExact(json)
             && harmless(rules, PyBytes_AS_STRING(json), PyBytes_GET_SIZE(json),
                         PyDict_GET_SIZE(fields))))
        Py_CLEAR(json);
    return json;
}
