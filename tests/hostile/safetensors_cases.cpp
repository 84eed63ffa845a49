/// Hostile safetensors files: frames and headers, then values and offsets.

#include "hostile/cases.h"

using namespace std::string_literals;

namespace coppice::test {
namespace {

/// One F32 tensor "x" with the given shape and offsets.
std::string one(const std::string& shape, const std::string& offsets, const std::string& data,
                const std::string& dtype = "\"F32\"") {
  return st(R"({"x":{"dtype":)" + dtype + ",\"shape\":" + shape + ",\"data_offsets\":" + offsets + "}}", data);
}

std::string entry(const std::string& name, int begin, int end) {
  return "\"" + name + R"(":{"dtype":"U8","shape":[)" + std::to_string(end - begin) + "],\"data_offsets\":[" +
         std::to_string(begin) + "," + std::to_string(end) + "]}";
}

const std::string kFour(4, 'd');

/// One U8 tensor "x" of four bytes, with this text as the file's checksums.
std::string summed(const std::string& words, const std::string& data) {
  return st(
      R"({"__metadata__":{"coppice.crc32":")" + words + R"("},"x":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}})",
      data);
}

}  // namespace

std::vector<Hostile> safetensors_structure() {
  return {
      {"H01 empty file", "", "FormatError", "needs 8 bytes"},
      {"H02 seven bytes", "1234567", "FormatError", "byte 0: the header length needs 8 bytes; 7 are left"},
      {"H03 header of length 0", le(0, 8), "FormatError", "must begin with '{'"},
      {"H04 header of length 2^64 - 1", le(UINT64_MAX, 8) + "{}", "FormatError", "18446744073709551615"},
      {"H05 header of length 2^63", le(std::uint64_t{1} << 63, 8) + "{}", "FormatError", "9223372036854775808"},
      {"H06 header longer than the file", le(100, 8) + "{}", "FormatError",
       "must lie inside the file; 2 bytes are left"},
      {"H08 header not UTF-8", st("{\"\xFF\":1}"), "FormatError", "must be JSON"},
      {"H08 overlong encoding", st("{\"\xC0\x80\":1}"), "FormatError", "must be JSON"},
      {"H08 surrogate encoding", st("{\"\xED\xA0\x80\":1}"), "FormatError", "must be JSON"},
      {"H08 lone surrogate escape", st("{\"\\ud800\":1}"), "FormatError", "must be JSON"},
      {"H08 NUL in a name", st("{\"a\\u0000b\":{}}"), "FormatError", "contains NUL"},
      {"H08 NUL in the header", st("{}\0{}"s), "FormatError", "the header contains NUL"},
      {"H08 byte order mark", st("\xEF\xBB\xBF{}"), "FormatError", "must begin with '{'"},
      {"H09 truncated JSON", st("{\"x\":{\"dtype\":\"F32\",\"sha"), "FormatError", "must be JSON"},
      {"H09 two documents", st("{}{}"), "FormatError", "must be JSON"},
      {"H09 an array", st("[]"), "FormatError", "must begin with '{'"},
      {"H10 100,000 open arrays", st("{\"x\":" + std::string(100000, '[')), "FormatError",
       "must be an object; it is an array"},
      {"H10 100,000 open objects", st([] {
         std::string s;
         for (int i = 0; i < 100000; ++i) s += "{\"a\":";
         return s;
       }()),
       "FormatError", "is unknown"},
      {"H12 a name twice", st("{" + entry("a", 0, 2) + "," + entry("a", 2, 4) + "}", kFour), "FormatError",
       "name 'a' stands twice"},
      {"H12 a name twice, once escaped", st("{" + entry("a", 0, 2) + "," + entry("\\u0061", 2, 4) + "}", kFour),
       "FormatError", "stands twice"},
      {"H12 __metadata__ twice", st(R"({"__metadata__":{},"__metadata__":{}})"), "FormatError",
       "'__metadata__' stands twice"},
      {"H12 a key of metadata twice", st(R"({"__metadata__":{"k":"1","k":"2"}})"), "FormatError",
       "metadata 'k' stands twice"},
      {"H12 dtype twice", st(R"({"x":{"dtype":"U8","dtype":"U8","shape":[0],"data_offsets":[0,0]}})"), "FormatError",
       "'dtype' stands twice"},
      {"H12 dtype twice, empty at first", st(R"({"x":{"dtype":"","dtype":"U8","shape":[0],"data_offsets":[0,0]}})"),
       "FormatError", "'dtype' stands twice"},
      {"H12 shape twice", st(R"({"x":{"dtype":"U8","shape":[0],"shape":[0],"data_offsets":[0,0]}})"), "FormatError",
       "'shape' stands twice"},
      {"H13 a number in metadata", st(R"({"__metadata__":{"k":1}})"), "FormatError",
       "metadata 'k' must be a text; it is a number"},
      {"H13 an object in metadata", st(R"({"__metadata__":{"k":{}}})"), "FormatError",
       "metadata 'k' must be a text; it is an object"},
      {"H13 metadata is a list", st(R"({"__metadata__":[]})"), "FormatError", "__metadata__ must be an object"},
      {"H13 a null in metadata", st(R"({"__metadata__":{"k":null}})"), "FormatError",
       "metadata 'k' must be a text; it is null"},
      {"a tensor without shape", st(R"({"x":{"dtype":"U8","data_offsets":[0,0]}})"), "FormatError",
       "must have dtype, shape and data_offsets"},
      {"a tensor with a fourth key", st(R"({"x":{"dtype":"U8","shape":[0],"data_offsets":[0,0],"z":1}})"),
       "FormatError", "'z' is unknown"},
  };
}

std::vector<Hostile> safetensors_values() {
  const std::string two48 = "281474976710656";
  return {
      {"H14 offsets backwards", one("[1]", "[4,0]", kFour), "FormatError", "end before they begin: 4, 0"},
      {"H15 overlap", st("{" + entry("a", 0, 3) + "," + entry("b", 2, 4) + "}", kFour), "FormatError",
       "tensor 'b' overlaps the one before it"},
      {"H16 hole", st("{" + entry("a", 0, 1) + "," + entry("b", 2, 4) + "}", kFour), "FormatError",
       "tensor 'b' leaves a hole before it"},
      {"H16 hole at the start", st("{" + entry("a", 2, 4) + "}", kFour), "FormatError", "leaves a hole"},
      {"H17 bytes behind the data", one("[1]", "[0,4]", "dddd<html>"), "FormatError", "bytes are left over"},
      {"H17 bytes behind an empty header", st("{}", "x"), "FormatError", "bytes are left over"},
      {"H18 one byte short", one("[1]", "[0,4]", "ddd"), "FormatError", "the file is too short"},
      {"H19 negative size", one("[-1]", "[0,4]", kFour), "FormatError",
       "'shape' must be whole numbers of at least 0; it holds a negative number"},
      {"H19 minus zero", one("[-0]", "[0,0]", ""), "FormatError", "a negative number"},
      {"H19 fraction", one("[1.0]", "[0,4]", kFour), "FormatError", "it holds the number '1.0'"},
      {"H19 exponent", one("[1]", "[0,4e0]", kFour), "FormatError", "tensor 'x': 'data_offsets' must be whole numbers"},
      {"H19 text", one("[\"1\"]", "[0,4]", kFour), "FormatError", "it holds a text"},
      {"H19 2^48", one("[" + two48 + "]", "[0,4]", kFour), "FormatError", "must be below 2^48; got " + two48},
      {"H19 2^53 + 1", one("[1]", "[0,9007199254740993]", kFour), "FormatError", "must be below 2^48"},
      {"H19 2^64", one("[18446744073709551616]", "[0,4]", kFour), "FormatError", "must be whole numbers"},
      {"H19 1e999", one("[1e999]", "[0,4]", kFour), "FormatError", "must be JSON"},
      {"H20 shape product overflows", one("[281474976710655,281474976710655]", "[0,4]", kFour), "FormatError",
       "overflows"},
      {"H21 product wraps to 0", one("[4294967296,4294967296]", "[0,0]", ""), "FormatError", "overflows"},
      {"H21 product wraps to 0 beside an empty axis", one("[0,4294967296,4294967296]", "[0,0]", ""), "FormatError",
       "overflows"},
      {"H22 bits overflow", one("[281474976710655,32768]", "[0,4]", kFour, "\"F64\""), "FormatError", "overflows"},
      {"H23 empty shape with bytes", one("[0]", "[0,4]", kFour), "FormatError", "need 0 bytes; data_offsets give 4"},
      {"H23 a scalar without bytes", one("[]", "[0,0]", ""), "FormatError", "need 4 bytes; data_offsets give 0"},
      {"H24 rank 10,000",
       one(
           "[1" +
               [] {
                 std::string s;
                 for (int i = 1; i < 10000; ++i) s += ",1";
                 return s;
               }() +
               "]",
           "[0,4]", kFour),
       "LimitError", "Limits::rank"},
      {"H25 unknown element type with wild offsets", one("[1]", "[0,281474976710655]", kFour, "\"F128\""),
       "FormatError", "unknown element type 'F128'"},
      {"H25 known but absent element type with wild offsets", one("[1]", "[0,99]", kFour, "\"U32\""), "FormatError",
       "need 4 bytes; data_offsets give 99"},
      {"H26 three halves of a byte", one("[3]", "[0,2]", "dd", "\"F4\""), "FormatError",
       "must fill whole bytes; it has 12 bits"},
      {"H28 one offset", one("[1]", "[0]", kFour), "FormatError", "data_offsets must be two numbers; got 1"},
      {"H28 three offsets", one("[1]", "[0,4,4]", kFour), "FormatError", "must be two numbers"},
      {"H28 offsets are a number", one("[1]", "4", kFour), "FormatError",
       "'data_offsets' must be an array; it is a number"},
      {"H28 shape is a text", one("\"1\"", "[0,4]", kFour), "FormatError", "'shape' must be an array; it is a text"},
      {"H28 nested shape", one("[[1]]", "[0,4]", kFour), "FormatError", "it holds an array"},
      {"H90 a flipped bit under checksums", summed("3cad2230 6c844e92", "goof"), "FormatError",
       "tensor 'x' is damaged"},
      {"H90 a wrong checksum of the header", summed("3cad2231 6c844e92", "good"), "FormatError",
       "the header is damaged"},
      {"H90 a checksum too few", summed("3cad2230", "good"), "FormatError", "must be 2 words of 8 hexadecimal digits"},
      {"H90 checksums that are no numbers", summed("3cad2230 goodgood", "good"), "FormatError",
       "word 1 must be 8 small"},
      {"dtype is a number", one("[1]", "[0,4]", kFour, "32"), "FormatError", "'dtype' must be a text; it is a number"},
      {"a bool that is neither", one("[4]", "[0,4]", "\1\0\1\2"s, "\"BOOL\""), "FormatError", "element 3 is 2"},
      {"a name of 5,000 bytes", st("{\"" + std::string(5000, 'n') + "\":{}}"), "LimitError", "Limits::name_bytes"},
      {"control characters in a name", st("{\"\\u001b[2J\":[]}"), "FormatError", "tensor '\\x1b[2J' must be an object"},
  };
}

}  // namespace coppice::test
