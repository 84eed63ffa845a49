/// Hostile .npy files.

#include "hostile/cases.h"

using namespace std::string_literals;

namespace coppice::test {
namespace {

std::string npy(const std::string& header, const std::string& data = "") {
  return "\x93NUMPY\1\0"s + le(header.size(), 2) + header + data;
}

std::string simple(const std::string& descr, const std::string& shape, const std::string& data,
                   const std::string& order = "False") {
  return npy("{'descr': " + descr + ", 'fortran_order': " + order + ", 'shape': " + shape + ", }", data);
}

}  // namespace

std::vector<Hostile> npy_cases() {
  const std::string f4 = "'<f4'", four(4, 'd');
  return {
      {"H73 empty", "", "FormatError", "the magic of .npy needs 6 bytes"},
      {"H73 bad magic", "\x93NUMPI\1\0rest"s, "FormatError", "must begin with \\x93NUMPY; it begins with '\\x93NUMPI'"},
      {"H73 version 9", "\x93NUMPY\x09\0rest"s, "FormatError", "got 9.0"},
      {"H73 version 1.1", "\x93NUMPY\1\1rest"s, "FormatError", "got 1.1"},
      {"H74 header of 4 GB", "\x93NUMPY\2\0\xFF\xFF\xFF\xFF"s + std::string(88, ' '), "FormatError",
       "must lie inside the file; 88 bytes are left"},
      {"H74 header above NumPy's limit", npy(std::string(10001, ' ')), "LimitError",
       "must be at most 10000 bytes; got 10001"},
      {"H75 a call", npy("{'descr': __import__('os').system('id'), 'fortran_order': False, 'shape': ()}"),
       "FormatError", "structured and object arrays are not read; it is '__import__('"},
      {"H75 a lambda", npy("{'descr': '<f4', 'fortran_order': False, 'shape': (lambda: 1)()}"), "FormatError",
       "sizes must be whole numbers"},
      {"H75 deep parentheses", npy("{'descr': '<f4', 'fortran_order': False, 'shape': " + std::string(9000, '(')),
       "FormatError", "sizes must be whole numbers"},
      {"H75 an expression", simple(f4, "(1+1,)", four + four), "FormatError",
       "must be a tuple of whole numbers; after one of them stands '+1,), }'"},
      {"H75 an escape", simple("'\\x3cf4'", "()", four), "FormatError", "have no escapes"},
      {"H76 no keys", npy("{}"), "FormatError", "must have descr, fortran_order and shape"},
      {"H76 missing shape", npy("{'descr': '<f4', 'fortran_order': False}"), "FormatError", "it lacks shape"},
      {"H76 an extra key", npy("{'descr': '<f4', 'fortran_order': False, 'shape': (), 'x': 1}"), "FormatError",
       "got 'x'"},
      {"H76 a key twice", npy("{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': ()}"), "FormatError",
       "each once; got 'descr'"},
      {"H76 text after the brace", npy("{'descr': '<f4', 'fortran_order': False, 'shape': ()} 1", four), "FormatError",
       "goes on after its closing brace: '1'"},
      {"H76 no closing brace", npy("{'descr': '<f4', 'fortran_order': False, 'shape': ()"), "FormatError",
       "must have '}' here; it has the end of the header"},
      {"H76 no header", npy(""), "FormatError", "must have '{' here"},
      {"H76 fortran_order is a number", simple(f4, "()", four, "1"), "FormatError",
       "must be True or False; it is '1, 'shape': '"},
      {"H77 objects", simple("'|O'", "(1,)", "12345678"), "FormatError", "type '|O'"},
      {"H77 a record", simple("[('x', '<f4')]", "(1,)", four), "FormatError",
       "structured and object arrays are not read"},
      {"H77 text", simple("'<U1'", "(1,)", four), "FormatError", "type '<U1'"},
      {"H77 bytes", simple("'|S4'", "(1,)", four), "FormatError", "type '|S4'"},
      {"H77 dates", simple("'<M8[ns]'", "()", "12345678"), "FormatError", "type '<M8[ns]'"},
      {"H77 void", simple("'|V4'", "()", four), "FormatError", "type '|V4'"},
      {"H77 width 3", simple("'<f3'", "()", "abc"), "FormatError", "type '<f3'"},
      {"H77 empty descr", simple("''", "()", four), "FormatError", "type ''"},
      {"H77 unsigned 32", simple("'<u4'", "()", four), "NotSupported", "type '<u4'"},
      {"H77 complex", simple("'<c8'", "()", four + four), "NotSupported", "type '<c8'"},
      {"H78 negative", simple(f4, "(-1,)", four), "FormatError", "sizes must be whole numbers of at least 0; got '-1"},
      {"H78 float", simple(f4, "(1.0,)", four), "FormatError", "must be a tuple of whole numbers"},
      {"H78 2^64", simple(f4, "(18446744073709551616,)", four), "FormatError", "exceeds 2^64 - 1: '184467440737'"},
      {"H78 product overflows", simple(f4, "(4294967296, 4294967296)", four), "FormatError",
       "the product of the shape (4294967296, 4294967296) overflows"},
      {"H78 product overflows beside 0", simple(f4, "(0, 4294967296, 4294967296)", ""), "FormatError", "overflows"},
      {"H78 a number for a tuple", simple(f4, "(1)", four), "FormatError", "(n) is a number"},
      {"H78 a list", simple(f4, "[1]", four), "FormatError", "must have '(' here"},
      {"H78 rank 17", simple(f4, "(1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,)", four), "LimitError", "Limits::rank"},
      {"H79 short", simple(f4, "(2,)", four), "FormatError", "needs 8 bytes of data; there are 4"},
      {"H79 long", simple(f4, "(1,)", "12345"), "FormatError", "needs 4 bytes of data; there are 5"},
      {"H79 huge", simple(f4, "(1000000000000,)", four), "FormatError", "needs 4000000000000 bytes of data"},
      {"a bool that is neither", simple("'|b1'", "(2,)", "\1\3"), "FormatError", "element 1 is 3"},
  };
}

}  // namespace coppice::test
