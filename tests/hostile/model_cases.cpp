/// Hostile model files, packed layers among them, and descriptions of architectures.

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

/// A safetensors file of these tensors with `model` as the description of its modules.
std::string model_file(const std::string& model, const std::vector<Piece>& tensors) {
  nlohmann::ordered_json header;
  header["__metadata__"]["coppice.model"] = model;
  std::string data;
  for (const Piece& t : tensors) {
    header[t.name] = {
        {"dtype", t.dtype}, {"shape", t.shape}, {"data_offsets", {data.size(), data.size() + t.data.size()}}};
    data += t.data;
  }
  return st(header.dump(), data);
}

std::string described(const std::string& entry) { return R"({"format": 1, "model": )" + entry + "}"; }

std::string ints(const std::vector<std::int64_t>& values, int width) {
  std::string out;
  for (const std::int64_t v : values) out += le(static_cast<std::uint64_t>(v), width);
  return out;
}

std::string floats(std::size_t count) {
  std::string out;
  for (std::size_t i = 0; i < count; ++i) out += le(0x3F800000, 4);
  return out;
}

std::string packed_entry(const std::string& format, const std::string& rows, const std::string& cols) {
  return described(R"({"type": "PackedLinear", "args": {"in_features": )" + cols + R"(, "out_features": )" + rows +
                   R"(, "bias": false, "format": ")" + format + "\"}}");
}

/// Two rows of ten columns with three values.
std::string bitmask(const std::string& mask, const std::vector<std::int64_t>& offsets = {0, 2, 3},
                    std::size_t values = 3) {
  return model_file(packed_entry("bitmask", "2", "10"),
                    {{"mask", "U8", {2, 2}, mask},
                     {"row_offsets", "I32", {static_cast<std::int64_t>(offsets.size())}, ints(offsets, 4)},
                     {"values", "F32", {static_cast<std::int64_t>(values)}, floats(values)}});
}

std::string csr(const std::vector<std::int64_t>& offsets, const std::vector<std::int64_t>& columns,
                std::size_t values = 3) {
  return model_file(packed_entry("csr", "2", "10"),
                    {{"row_offsets", "I32", {static_cast<std::int64_t>(offsets.size())}, ints(offsets, 4)},
                     {"columns", "I16", {static_cast<std::int64_t>(columns.size())}, ints(columns, 2)},
                     {"values", "F32", {static_cast<std::int64_t>(values)}, floats(values)}});
}

std::string nested(std::size_t depth) {
  std::string out;
  for (std::size_t i = 0; i < depth; ++i) out += R"({"type":"Sequential","modules":[)";
  return out + R"({"type":"ReLU"})" + [&] {
    std::string end;
    for (std::size_t i = 0; i < depth; ++i) end += "]}";
    return end;
  }();
}

/// A layer whose weight a list of one parametrization stands for.
std::string parametrized(const std::string& layer, const std::string& list, const std::string& child,
                         const std::string& name = "weight") {
  return described(layer + R"(, "modules": [{"type": "ModuleDict", "name": "parametrizations", "modules": [)" +
                   R"({"type": "ParametrizationList", "name": ")" + name + R"(", "args": {)" + list +
                   R"(}, "modules": [)" + child + "]}]}]}");
}

const std::string kOneByOne = R"({"type": "Linear", "args": {"in_features": 1, "out_features": 1, "bias": false})";

/// A weight of one entry under that many masks.
std::string masks_of_masks(int count) {
  std::string name = "weight", list;
  std::vector<Piece> pieces;
  for (int i = 0; i < count; ++i) {
    list += (i == 0 ? "\"" : ",\"") + name + "\":[]";
    pieces.push_back({name + "_mask", "U8", {1}, "\x01"});
    name += "_orig";
  }
  pieces.push_back({name, "F32", {1, 1}, floats(1)});
  return model_file(described(kOneByOne + R"(, "masked": {)" + list + "}}"), pieces);
}

/// A masked layer whose mask came about by a step with this setting; the file has a tensor ".args.0".
std::string in_step(const std::string& setting, int format = 2) {
  return model_file("{\"format\": " + std::to_string(format) + ", \"model\": " + kOneByOne +
                        R"(, "masked": {"weight": [{"type": "L1Unstructured", "args": {"x": )" + setting + "}}]}}}",
                    {{"weight_orig", "F32", {1, 1}, floats(1)},
                     {"weight_mask", "U8", {1}, "\x01"},
                     {".args.0", "F32", {1}, floats(1)}});
}

std::string nested_maps(int count) {
  std::string out = "0";
  for (int i = 0; i < count; ++i) out = R"({"map":{"m":)" + out + "}}";
  return out;
}

/// A mask with that many steps of a thousand arguments each.
std::string many_steps(int count) {
  std::string step = R"({"type":"s","args":{"0":0)";
  for (int i = 1; i < 1000; ++i) step += ",\"" + std::to_string(i) + "\":0";
  step += "}}";
  std::string list = step;
  for (int i = 1; i < count; ++i) list += "," + step;
  return model_file(described(kOneByOne + R"(, "masked": {"weight": [)" + list + "]}}"),
                    {{"weight_orig", "F32", {1, 1}, floats(1)}, {"weight_mask", "U8", {1}, "\x01"}});
}

std::string repeated(int count, const std::string& item) {
  std::string out = item;
  for (int i = 1; i < count; ++i) out += "," + item;
  return out;
}

const std::string kMask = "\x03\x00\x00\x02"s;  // columns 0 and 1; column 9

}  // namespace

std::string good_packed_model() { return bitmask(kMask); }

std::vector<Hostile> model_cases() {
  const std::string relu = R"({"type": "ReLU"})";
  return {
      {"H81 more bits than values", bitmask("\x07\x00\x00\x02"s), "FormatError",
       "the top module: [PackedMatrix] 'mask' row 0 has 3 bits"},
      {"H81 fewer bits than values", bitmask("\x01\x00\x00\x02"s), "FormatError", "row 0 has 1 bits"},
      {"H81 the right sum in the wrong rows", bitmask("\x01\x00\x03\x00"s), "FormatError", "row 0 has 1 bits"},
      {"H82 a bit beyond the last column", bitmask("\x03\x00\x00\x04"s), "FormatError", "bits set beyond its 10"},
      {"H83 offsets fall", bitmask(kMask, {0, 4, 3}), "FormatError", "'row_offsets' must not fall"},
      {"H83 offsets end too early", bitmask(kMask, {0, 1, 2}), "FormatError", "'row_offsets' must end at 3"},
      {"H83 offsets begin late", csr({1, 2, 3}, {0, 1, 2}), "FormatError", "'row_offsets' must start at 0"},
      {"H83 a negative offset", csr({0, -1, 3}, {0, 1, 2}), "FormatError", "'row_offsets' must not fall"},
      {"H83 one offset too few", csr({0, 3}, {0, 1, 2}), "FormatError", "'row_offsets' must have shape (3,)"},
      {"H84 a column beyond the last", csr({0, 2, 3}, {0, 10, 2}), "FormatError", "'columns' must be in 0..9"},
      {"H84 a negative column", csr({0, 2, 3}, {0, -1, 2}), "FormatError", "'columns' must be in 0..9"},
      {"H84 a column twice", csr({0, 2, 3}, {4, 4, 2}), "FormatError", "'columns' must rise within a row"},
      {"H84 columns in disorder", csr({0, 2, 3}, {5, 4, 2}), "FormatError", "'columns' must rise within a row"},
      {"H84 more columns than values", csr({0, 2, 4}, {0, 1, 2, 3}), "FormatError", "'values'"},
      {"H87 a mask of another rank",
       model_file(packed_entry("bitmask", "2", "10"), {{"mask", "U8", {4}, kMask},
                                                       {"row_offsets", "I32", {3}, ints({0, 2, 3}, 4)},
                                                       {"values", "F32", {3}, floats(3)}}),
       "FormatError", "'mask' must have shape (2, 2); it has (4,)"},
      {"H87 huge sizes",
       model_file(packed_entry("csr", "2147483646", "2147483646"), {{"row_offsets", "I32", {3}, ints({0, 2, 3}, 4)},
                                                                    {"columns", "I32", {3}, ints({0, 1, 2}, 4)},
                                                                    {"values", "F32", {3}, floats(3)}}),
       "FormatError", "'row_offsets' must have shape (2147483647,)"},
      {"H87 sizes beyond 2^31", model_file(packed_entry("csr", "4611686018427387904", "2"), {}), "FormatError",
       "rows and columns must be in 0..2147483646"},
      {"H87 a negative size beside a bias",
       model_file(described(R"({"type": "PackedLinear", "args": {"in_features": 10, "out_features": -1, "bias": true,
                                "format": "csr"}})"),
                  {{"bias", "F32", {1}, floats(1)}}),
       "FormatError", "rows and columns must be in 0.."},
      {"H87 a dense layer whose size the file does not hold",
       model_file(described(R"({"type":"Linear","args":{"in_features":2,"out_features":2}})"),
                  {{"weight", "F32", {2, 3}, floats(6)}, {"bias", "F32", {2}, floats(2)}}),
       "FormatError", "shape of 'weight': given (2, 3), own (2, 2)"},
      {"H89 a format from the future", model_file(R"({"format": 99, "model": )" + relu + "}", {}), "FormatError",
       "format version 99; this library reads 1.."},
      {"H89 a format that is no number", model_file(R"({"format": "1", "model": )" + relu + "}", {}), "FormatError",
       "needs \"format\" and \"model\""},
      {"a type that does not exist", model_file(described(R"({"type": "os.system"})"), {}), "FormatError", "os.system"},
      {"an embedding of 4 GB with a row of padding, in 99 bytes",
       model_file(described(R"({"type":"Embedding","args":{"num_embeddings":1,"embedding_dim":1000000000,
                                "padding_idx":0}})"),
                  {}),
       "FormatError", "missing: 'weight'"},
      {"a window of 2^62 over padding of 2^61",
       model_file(described(R"({"type":"MaxPool2d","args":{"kernel_size":[4611686018427387904,1],
                                "padding":[2305843009213693952,0],"stride":1}})"),
                  {}),
       "FormatError", "kernel_size must be in 1..2147483647"},
      {"800 masks one upon the other", masks_of_masks(800), "LimitError", "a tensor may have at most 8 masks"},
      {"a convolution whose weight has no axes",
       model_file(parametrized(R"({"type": "Conv2d", "args": {"in_channels": 1, "out_channels": 1, "kernel_size": 1,
                                   "bias": false})",
                               R"("original_shape": [], "unsafe": true)", R"({"type": "Identity", "name": "0"})"),
                  {{"parametrizations.weight.original", "F32", {}, floats(1)}}),
       "FormatError", "it has shape () where the module needs (1, 1, 1, 1)"},
      {"a weight of 2^62 under a mask of 4",
       model_file(parametrized(kOneByOne, R"("original_shape": [1, 1], "original_dtype": "int64")",
                               R"({"type": "FakeSparsity", "args": {"shape": [1, 1], "dtype": "int64"}, "name": "0"})"),
                  {{"parametrizations.weight.original", "I64", {1, 1}, ints({std::int64_t{1} << 62}, 8)},
                   {"parametrizations.weight.0.mask", "I64", {1, 1}, ints({4}, 8)}}),
       "FormatError", "it is int64 where the module needs float32"},
      {"lines and colours in the name of a parametrization",
       model_file(parametrized(kOneByOne, R"("original_shape": [1])", R"({"type": "Identity", "name": "0"})",
                               R"(x\ncoppice: everything holds\u001b[8m)"),
                  {{"weight", "F32", {1, 1}, floats(1)}}),
       "FormatError", R"(has no tensor 'x\x0acoppice: everything holds\x1b[8m')"},
      {"a packed layer with a child called as one of its members",
       model_file(
           described(R"({"type": "PackedLinear", "args": {"in_features": 1, "out_features": 1, "bias": false,
                                "format": "csr"}, "modules": [{"type": "ReLU", "name": "values"}]})"),
           {{"row_offsets", "I32", {2}, ints({0, 0}, 4)}, {"columns", "I32", {0}, ""}, {"values", "F32", {0}, ""}}),
       "FormatError", "the top module: [register_buffer] PackedLinear already has 'values'"},
      {"a bit beyond the entries of a mask",
       model_file(described(kOneByOne + R"(, "masked": {"weight": []}})"),
                  {{"weight_orig", "F32", {1, 1}, floats(1)}, {"weight_mask", "U8", {1}, "\xff"}}),
       "FormatError", "'weight_mask': [unpack_bits] a bit beyond the last of 1 mask entries"},
      {"kept values of bools without their mask",
       model_file(described(R"({"type": "ParametrizationList", "masked": {"original": []},
                                "args": {"original_shape": [8], "original_dtype": "bool"}})"),
                  {{"original_orig", "BOOL", {3}, "\1\0\1"s}}),
       "FormatError", "missing: 'original_mask'"},
      {"a convolution whose padding is no int",
       model_file(described(R"({"type":"Conv1d","args":{"in_channels":1,"out_channels":1,"kernel_size":1,
                                "padding":9223372036854775807}})"),
                  {}),
       "FormatError", "padding must be in 0..2147483647"},
      {"an argument that is a tensor of the model", in_step(R"({"tensor": "weight_orig"})"), "FormatError",
       "argument 'x': the file has no tensor 'weight_orig' for arguments"},
      {"a tensor of arguments that the file has not", in_step(R"({"tensor": ".args.9"})"), "FormatError",
       "the file has no tensor '.args.9'"},
      {"a tensor of arguments named twice", in_step(R"({"tensor": ".args.0"}, "y": {"tensor": ".args.0"})"),
       "FormatError", "tensor '.args.0' is another argument already"},
      {"a tensor of arguments that nothing names", in_step("0"), "FormatError", "unexpected: '.args.0'"},
      {"a function that nobody registered", in_step(R"({"function": "os.system"})"), "FormatError",
       "no function 'os.system' is registered"},
      {"maps within maps, 17 deep", in_step(nested_maps(17)), "LimitError", "maps must be nested at most 16 deep"},
      {"maps within maps, 1,000 deep", in_step(nested_maps(1000)), "LimitError", "nested deeper than 64"},
      {"an argument of no known kind", in_step(R"({"code": "import os"})"), "FormatError",
       "must not be an object, but for one of"},
      {"an argument of two kinds", in_step(R"({"tensor": ".args.0", "map": {}})"), "FormatError",
       "must not be an object, but for one of"},
      {"a list of numbers and texts", in_step(R"([0.5, "1"])"), "FormatError", "a list of numbers"},
      {"a map in a file of format 1", in_step(R"({"map": {}})", 1), "FormatError", "in a file of format 1"},
      {"1,100,000 arguments", many_steps(1'100), "LimitError", "a file holds at most 1000000 arguments"},
      {"H95 modules nested 100,000 deep", model_file(described(nested(100'000)), {}), "LimitError",
       ", metadata 'coppice.model': nested deeper than 64"},
      {"H95 brackets nested 100,000 deep", model_file(std::string(100'000, '['), {}), "LimitError", "nested deeper"},
  };
}

std::vector<Hostile> architecture_cases() {
  const auto linear = [](const std::string& in) {
    return R"({"type": "Linear", "args": {"in_features": )" + in + R"(, "out_features": 3}})";
  };
  std::string wide = R"({"type":"ReLU"})";
  for (int i = 0; i < 25'000; ++i) wide += R"(,{"type":"ReLU"})";
  std::string keys = R"({"type":"ReLU")";
  for (int i = 0; i < 2'000; ++i) keys += ",\"" + std::to_string(i) + "\":0";
  const std::string relus = [] {
    std::string out = R"({"type":"ReLU"})";
    for (int i = 1; i < 2'000; ++i) out += R"(,{"type":"ReLU"})";
    return out;
  }();
  const auto named = [](const std::string& name, const std::string& modules) {
    return R"({"type":"Sequential","modules":[{"type":"Sequential","name":")" + name + R"(","modules":[)" + modules +
           "]}]}";
  };
  const std::string lstm = R"({"type":"LSTM","args":{"input_size":1,"hidden_size":2,"num_layers":1000,)"
                           R"("bidirectional":true,"proj_size":1}})";
  std::string lstms = lstm;
  for (int i = 1; i < 1'000; ++i) lstms += "," + lstm;
  return {
      {"H95 brackets nested 100,000 deep", std::string(100'000, '['), "LimitError", "nested deeper"},
      {"H95 modules nested 100,000 deep", nested(100'000), "LimitError", "nested deeper"},
      {"H95 25,000 modules", R"({"type": "Sequential", "modules": [)" + wide + "]}", "LimitError", "modules"},
      {"H95 2,000 keys", keys + "}", "LimitError", "keys"},
      {"a name of 4 MB in the path of 2,000 modules", named(std::string(4'000'000, 'A'), relus), "LimitError",
       "must be at most 4096 bytes"},
      {"1,000 LSTMs of 10,000 tensors each", named("l", lstms), "LimitError",
       "more than 100000 parameters and buffers"},
      {"a list of 5,000,000 lists", "[" + repeated(5'000'000, "[]") + "]", "LimitError", "(raise Limits::objects)"},
      {"a shape of 1,000,000 ones",
       R"({"type":"LayerNorm","args":{"normalized_shape":[)" + repeated(1'000'000, "1") + "]}}", "LimitError",
       "at most 1000 items; got 1000000"},
      {"a shape of 900 ones", R"({"type":"LayerNorm","args":{"normalized_shape":[)" + repeated(900, "1") + "]}}",
       "LimitError", "(raise Limits::rank)"},
      {"a type of 16 MB", R"({"type":")" + std::string(16'000'000, 'x') + "\"}", "FormatError", "unknown type 'xxx"},
      {"a number of 16 MB", std::string(16'000'000, '7') + "x", "FormatError", "[json]"},
      {"H95 17 MB", std::string(17u << 20, ' '), "LimitError", "16777216"},
      {"H95 no JSON", "import os", "FormatError", "[json]"},
      {"H95 cut short", linear("2").substr(0, 30), "FormatError", ", byte 30: must be JSON: 'parse error"},
      {"H95 text behind a NUL", "{\"type\": \"ReLU\"}\0{}"s, "FormatError", "byte 16: contains NUL"},
      {"H95 empty", "", "FormatError", "[json]"},
      {"H95 not UTF-8", "{\"type\": \"\xFF\"}", "FormatError", "[json]"},
      {"H95 a key twice", R"({"type": "ReLU", "type": "ReLU"})", "FormatError", "appears twice"},
      {"H95 a negative size", linear("-1"), "FormatError", "(Linear)"},
      {"H95 a size that is no number", linear("\"2\""), "FormatError", "(Linear)"},
      {"H95 a size of 2^64", linear("18446744073709551616"), "FormatError", "(Linear)"},
      {"H95 a product that overflows", linear("9223372036854775807"), "FormatError", "(Linear)"},
      {"H95 more memory than there is", linear("4611686018427387"), "LimitError", "(Linear)"},
      {"H95 an unknown type", R"({"type": "torch.load"})", "FormatError", "torch.load"},
      {"H95 an unknown argument", R"({"type": "ReLU", "args": {"code": 1}})", "FormatError", "(ReLU)"},
      {"H97 control characters in a type", "{\"type\": \"\\u001b[2J\\u202e\"}", "FormatError",
       "'\\x1b[2J\\xe2\\x80\\xae'"},
  };
}

}  // namespace coppice::test
