/* The fields that most events carry: a small flat dict of harmless scalars (`coerce.Normaliser.fast`).
 *
 * What is not surely harmless is left to Python. The rules come from there, as the same tables that
 * it uses, so that there is one definition of what is suspicious. */
#include "speedups.h"

#include <string.h>

/* What a byte of a text may be. */
enum { MARKED = 1, OF_RUN = 2, OF_DIGITS = 4, OF_PREFIX = 8, ENDING = 16, DASH = 32, BETWEEN = 64 };

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
        word->size = (unsigned char)PyBytes_GET_SIZE(given);
        memcpy(word->text, PyBytes_AS_STRING(given), word->size);
        unsigned char last = (unsigned char)word->text[word->size - 1];
        word->next = rules->ending[last];
        rules->ending[last] = (unsigned char)(i + 1);
        rules->traits[last] |= ENDING;
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
        rules->traits[byte] = (unsigned char)((kind == mark ? MARKED : 0)
                                              | (kind == 'a' ? OF_RUN : 0)
                                              | (digit == '0' ? OF_DIGITS : 0)
                                              | (digit == 'k' ? OF_PREFIX : 0)
                                              | (digit == '.' ? BETWEEN : 0));
    }
    /* What JSON escapes, and what a name and its value stand between. */
    for (int byte = 0; byte < 32; byte++)
        rules->traits[byte] |= MARKED;
    rules->traits['"'] |= MARKED;
    rules->traits[':'] |= MARKED;
    rules->traits['-'] |= DASH;
    return take_words(rules, words);
}

/* Whether `length` bytes with a trait stand together. Looks at every `length`-th byte, and back from
 * there: what is no such run is mostly skipped. */
static bool has_run(const FieldRules *rules, const unsigned char *text, Py_ssize_t size, int trait,
                    int length)
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

static bool has_word(const FieldRules *rules, const unsigned char *text, Py_ssize_t size)
{
    for (Py_ssize_t end = 2; end <= size; end++)
        for (int next = rules->ending[text[end - 1]]; next; next = rules->words[next - 1].next) {
            const Word *word = &rules->words[next - 1];
            /* The last but one rules most of them out, without a call. */
            if (word->size <= end && text[end - 2] == (unsigned char)word->text[word->size - 2]
                && !memcmp(text + end - word->size, word->text, word->size))
                return true;
        }
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

/* Whether a text is a UUID and nothing else: it may have the digits of a card number, and is none. */
static bool is_uuid(const unsigned char *text, Py_ssize_t size)
{
    static const char shape[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
    if (size != sizeof shape - 1)
        return false;
    for (Py_ssize_t i = 0; i < size; i++) {
        unsigned char byte = text[i];
        bool hex = (byte >= '0' && byte <= '9') || ((byte | 32) >= 'a' && (byte | 32) <= 'f');
        if (shape[i] == 'x' ? !hex : byte != '-')
            return false;
    }
    return true;
}

/* Whether a text holds nothing that wants a closer look. */
static bool harmless_text(const FieldRules *rules, PyObject *value)
{
    if (!PyUnicode_IS_COMPACT_ASCII(value))
        return false;
    const unsigned char *text = PyUnicode_1BYTE_DATA(value);
    Py_ssize_t size = PyUnicode_GET_LENGTH(value);
    unsigned seen = 0;
    for (Py_ssize_t i = 0; i < size; i++)
        seen |= rules->traits[text[i]];
    if (seen & MARKED || has_run(rules, text, size, OF_RUN, rules->run)
        || (seen & ENDING && has_word(rules, text, size))
        || (seen & BETWEEN && seen & OF_DIGITS && size > rules->digit_run && has_groups(rules, text, size)))
        return false;
    return !(seen & DASH) || is_uuid(text, size)
        || !((seen & OF_PREFIX && has_prefix(rules, text, size))
             || has_run(rules, text, size, OF_DIGITS, rules->digit_run));
}

/* Whether one value is a harmless scalar; adds the length of a text to *length. */
static bool harmless_value(const FieldRules *rules, PyObject *value, long long *length)
{
    if (PyUnicode_CheckExact(value)) {
        *length += PyUnicode_GET_LENGTH(value);
        return *length <= rules->max_length && harmless_text(rules, value);
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

static bool harmless_members(const FieldRules *rules, PyObject *fields)
{
    PyObject *name, *value;
    Py_ssize_t at = 0;
    long long length = 0;
    while (PyDict_Next(fields, &at, &name, &value)) {
        /* The exact type first: hashing another one would run foreign code. */
        if (!PyUnicode_CheckExact(name) || PySet_Contains(rules->vetted, name) != 1
            || !harmless_value(rules, value, &length))
            return false;
    }
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

PyObject *harmless_json(const FieldRules *rules, PyObject *fields)
{
    if (!PyDict_CheckExact(fields) || !is_small(rules, fields) || !harmless_members(rules, fields))
        return NULL;
    /* Nothing ran since that could have changed the dict: what was looked at is what is encoded. */
    PyObject *json = PyObject_CallOneArg(rules->encode, fields);
    if (json && !PyBytes_CheckExact(json))
        Py_CLEAR(json);
    return json;
}
