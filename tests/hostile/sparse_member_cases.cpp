/// Hostile checkpoints whose zeros are left out (docs/packed-formats.md), of the layout that is written and the old
/// one.

#include <nlohmann/json.hpp>

#include "hostile/cases.h"

using namespace std::string_literals;

namespace coppice::test {
namespace {

struct Piece {
  std::string name, dtype;
  std::vector<std::int64_t> shape;
  std::string data;
};

/// A safetensors file of these tensors, whose metadata says `list` of sparse members.
std::string with_list(const std::string& list, const std::vector<Piece>& pieces) {
  nlohmann::ordered_json header;
  header["__metadata__"]["coppice.sparse_members"] = list;
  std::string data;
  for (const Piece& t : pieces) {
    header[t.name] = {
        {"dtype", t.dtype}, {"shape", t.shape}, {"data_offsets", {data.size(), data.size() + t.data.size()}}};
    data += t.data;
  }
  return st(header.dump(), data);
}

Piece bytes(const std::string& name, const std::string& data) {
  return {name, "U8", {static_cast<std::int64_t>(data.size())}, data};
}

Piece floats(const std::string& name, std::size_t count) {
  std::string data;
  for (std::size_t i = 0; i < count; ++i) data += le(0x3F800000 + i, 4);
  return {name, "F32", {static_cast<std::int64_t>(count)}, data};
}

std::string listed(const std::string& shapes) { return R"({"layout":2,"shapes":)" + shapes + "}"; }

/// A tensor 'x' of shape [2, 10] with three values: bits 0, 9 and 19.
constexpr const char* kShapes = R"({"x":[2,10]})";
const std::string kBits = "\x01\x02\x08"s;

std::string now(const std::string& places, std::size_t values = 3, const std::string& shapes = kShapes) {
  return with_list(listed(shapes), {bytes("x.places", places), floats("x.compressed", values)});
}

Piece sizes(const std::vector<std::int64_t>& axes) {
  std::string data;
  for (const std::int64_t axis : axes) data += le(static_cast<std::uint64_t>(axis), 8);
  return {"x.shape", "I64", {static_cast<std::int64_t>(axes.size())}, data};
}

std::string old(const Piece& shape, const std::string& bits, std::size_t values, const std::vector<Piece>& more = {}) {
  std::vector<Piece> all{shape, bytes("x.bitmask", bits), floats("x.compressed", values)};
  all.insert(all.end(), more.begin(), more.end());
  return with_list(R"(["x"])", all);
}

std::string with_text(const std::string& list) {
  return with_list(list, {bytes("x.places", "\0"s + kBits), floats("x.compressed", 3)});
}

/// Values that a note makes quantised.
std::string quantized_values() {
  nlohmann::ordered_json header;
  header["__metadata__"] = {{"coppice.sparse_members", listed(kShapes)},
                            {"coppice.quantized:x.compressed", "qint8 per_tensor_affine"}};
  header["x.places"] = {{"dtype", "U8"}, {"shape", {4}}, {"data_offsets", {0, 4}}};
  header["x.compressed"] = {{"dtype", "I8"}, {"shape", {3}}, {"data_offsets", {4, 7}}};
  header["x.compressed.q_scale"] = {{"dtype", "F64"}, {"shape", {1}}, {"data_offsets", {7, 15}}};
  header["x.compressed.q_zero_point"] = {{"dtype", "I64"}, {"shape", {1}}, {"data_offsets", {15, 23}}};
  return st(header.dump(), "\0"s + kBits + "abc" + le(0x3FF0000000000000, 8) + le(0, 8));
}

/// `count` names of one tensor of a MB, each with members that are tied to the first.
std::string many_ties(int count) {
  constexpr std::int64_t kElements = 1 << 20;
  nlohmann::ordered_json shapes;
  nlohmann::ordered_json header;
  const std::string places = "\1"s + std::string(kElements / 64, '\0');
  for (int i = 0; i < count; ++i) {
    const std::string name = std::to_string(i);
    shapes[name] = {kElements};
    if (i == 0) continue;
    header["__metadata__"][name + ".places"] = "0.places";
    header["__metadata__"][name + ".compressed"] = "0.compressed";
  }
  header["__metadata__"]["coppice.sparse_members"] = listed(shapes.dump());
  header["0.places"] = {{"dtype", "U8"}, {"shape", {places.size()}}, {"data_offsets", {0, places.size()}}};
  header["0.compressed"] = {{"dtype", "F64"}, {"shape", {0}}, {"data_offsets", {places.size(), places.size()}}};
  return st(header.dump(), places);
}

}  // namespace

std::vector<Hostile> sparse_member_cases() {
  const std::string plain = "\0"s + kBits, signs = "\2"s + kBits + "\0\0\1"s;
  const std::string huge = R"({"x":[281474976710655,281474976710655]})";
  std::vector<Hostile> out{
      {"sparse members in order", now(plain), "accepted", ""},
      {"sparse members with signs", now(signs), "accepted", ""},
      {"sparse members without bytes that are 0", now("\1\7"s + kBits), "accepted", ""},
      {"sparse members of the old layout", old(sizes({2, 10}), kBits, 3), "accepted", ""},
      {"H101 a bitmask too short for its shape", now(plain, 3, R"({"x":[2,100]})"), "FormatError",
       "'x.places' must have 25 bytes for the bitmask of shape (2, 100); 3 are left"},
      {"H101 a bitmask too long for its shape", now(plain, 1, R"({"x":[8]})"), "FormatError",
       "'x.places' has 2 bytes more than shape (8,) takes"},
      {"H101 an empty member", now(""), "FormatError", "must have 1 bytes for the flags"},
      {"H101 a bit for each byte, and no bytes", now("\1\7"s), "FormatError", "must have 3 bytes for the bitmask"},
      {"H101 a bitmask of another length, old layout", old(sizes({2, 10}), "\1"s, 1), "FormatError",
       "'x.bitmask' must have 3 bytes for shape (2, 10); got 1"},
      {"H102 a value too few", now(plain, 2), "FormatError", "'x.compressed' must have 3 elements, or 1; got 2"},
      {"H102 a value too many", now(plain, 4), "FormatError", "must have 3 elements, or 1; got 4"},
      {"H102 no values", now(plain, 0), "FormatError", "must have 3 elements, or 1; got 0"},
      {"H102 a value for no bit", now("\0\0\0\0"s, 1), "FormatError", "must have 0 elements, or 1; got 1"},
      {"H102 a value too few, old layout", old(sizes({2, 10}), kBits, 2), "FormatError", "must have 3 elements"},
      {"H103 no places", with_list(listed(kShapes), {floats("x.compressed", 3)}), "FormatError", "has no 'x.places'"},
      {"H103 no values at all", with_list(listed(kShapes), {bytes("x.places", plain)}), "FormatError",
       "has no 'x.compressed'"},
      {"H103 places that are no bytes", with_list(listed(kShapes), {floats("x.places", 1), floats("x.compressed", 3)}),
       "FormatError", "'x.places' must be a list of uint8; got float32 (1,)"},
      {"H103 values of two axes",
       with_list(listed(kShapes), {bytes("x.places", plain), {"x.compressed", "U8", {1, 3}, "abc"}}), "FormatError",
       "'x.compressed' must be a list; got uint8 (1, 3)"},
      {"H103 values that are quantised", quantized_values(), "FormatError",
       "'x.compressed' must be a list; got qint8 (3,)"},
      {"H103 a shape that is no list of int64, old layout",
       with_list(R"(["x"])", {floats("x.shape", 2), bytes("x.bitmask", kBits), floats("x.compressed", 3)}),
       "FormatError", "'x.shape' must be a list of int64"},
      {"H103 no shape, old layout", with_list(R"(["x"])", {bytes("x.bitmask", kBits), floats("x.compressed", 3)}),
       "FormatError", "has no 'x.shape'"},
      {"H104 a shape that overflows", now(plain, 3, huge), "FormatError", "the shape of 'x' overflows"},
      {"H104 a shape that wraps to 0", now(plain, 3, R"({"x":[4294967296,4294967296,0]})"), "FormatError",
       "the shape of 'x' overflows"},
      {"H104 a negative size", now(plain, 3, R"({"x":[-2,-10]})"), "FormatError", "layout and shapes"},
      {"H104 a negative size, old layout", old(sizes({-2, -10}), kBits, 3), "FormatError", "must hold sizes; got -2"},
      {"H104 a shape that overflows, old layout", old(sizes({INT64_MAX, 2}), kBits, 3), "FormatError", "overflows"},
      {"H104 seventeen axes", now(plain, 3, R"({"x":[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,2,10]})"), "LimitError",
       "Limits::rank"},
      {"H104 seventeen axes, old layout", old(sizes(std::vector<std::int64_t>(17, 1)), "\1"s, 1), "LimitError",
       "Limits::rank"},
      {"H105 bits behind the last element", now("\0\x01\x02\x88"s, 4), "FormatError",
       "'x.places' has bits behind its last"},
      {"H105 bits behind the last element, old layout", old(sizes({2, 10}), "\x01\x02\x88"s, 4), "FormatError",
       "'x.bitmask' has bits behind its last"},
      {"H105 bits for bytes behind the last", now("\1\x0F"s + kBits + "\1"s, 4), "FormatError", "bits behind its last"},
      {"H105 a byte that is there and 0", now("\1\7\1\0\x08"s, 2), "FormatError", "a byte of the bitmask that is 0"},
      {"H105 flags that nobody knows", now("\4"s + kBits), "FormatError", "must begin with 0..3; got 4"},
      {"H106 signs too short", now("\2"s + kBits + "\0"s), "FormatError", "must have 3 bytes for the signs"},
      {"H106 signs too long", now(signs + "\0"s), "FormatError", "has 1 bytes more"},
      {"H106 signs behind the last zero", now("\2"s + kBits + "\0\0\2"s), "FormatError", "bits behind its last"},
      {"H106 signs of integers",
       with_list(listed(kShapes), {bytes("x.places", signs), {"x.compressed", "U8", {3}, "abc"}}), "FormatError",
       "'x' has signs of zeros, and is uint8"},
      {"H106 signs too short, old layout", old(sizes({2, 10}), kBits, 3, {bytes("x.signs", "\0"s)}), "FormatError",
       "'x.signs' must have 3 bytes for 17 zeros; got 1"},
      {"H108 a tensor beside its members",
       with_list(listed(kShapes), {bytes("x.places", plain), floats("x.compressed", 3), floats("x", 1)}), "FormatError",
       "holds 'x' beside its members"},
      {"H108 members of a tensor that is not listed", with_list(listed("{}"), {bytes("x.places", plain)}), "accepted",
       ""},
      {"H108 a member that is a tensor of two, old layout",
       with_list(R"(["x","x.shape"])", {sizes({1}), bytes("x.bitmask", "\0"s), floats("x.compressed", 0)}),
       "FormatError", "holds 'x.shape' beside its members"},
      {"H109 gigabytes from a few megabytes", now("\1"s + std::string(10u << 20, '\0'), 0, R"({"x":[335544320,2]})"),
       "LimitError", "Limits::extra_bytes"},
      {"H109 a thousand names of one tensor", many_ties(1000), "LimitError", "Limits::extra_bytes"},
  };
  for (const char* list :
       {"", "no JSON", "[1]", R"(["x","x"])", R"(["x",["y"]])", R"("x")", "5", "[[[[", "{}", R"({"layout":2})",
        R"({"shapes":{"x":[2,10]}})", R"({"layout":1,"shapes":{"x":[2,10]}})", R"({"layout":2,"shapes":["x"]})",
        R"({"layout":2,"shapes":{"x":20}})", R"({"layout":2,"shapes":{"x":[2.5]}})",
        R"({"layout":2,"shapes":{"x":[[2,10]]}})", R"({"layout":2,"shapes":{"x":[2,10],"x":[2,10]}})",
        R"({"layout":2,"shapes":{},"more":1})", R"({"layout":{},"shapes":{}})"})
    out.push_back({"H107 a list of sparse members that is none", with_text(list), "FormatError",
                   "metadata 'coppice.sparse_members' must be a list of names, each once, or an object"});
  for (const char* layout : {"0", "3", "-1", "\"2\"", "2.0", "null"})
    out.push_back({"H107 a layout that is not known", with_text(R"({"layout":)"s + layout + R"(,"shapes":{}})"),
                   "FormatError", "this library reads 1..2"});
  return out;
}

}  // namespace coppice::test
