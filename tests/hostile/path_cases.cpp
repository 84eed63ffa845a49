/// Paths that are no files, or whose names are no text, and files that are in order but that readers get wrong.

#include <cstring>

#include "hostile/corpus.h"

using namespace std::string_literals;

namespace coppice::test {
namespace {

const std::string kOdd = "\xFF\xFE";  // in no encoding of Unicode

/// H31, for the reader of every extension.
void add_no_files(std::vector<HostileFile>& out) {
  for (const char* extension : {".safetensors", ".pt", ".npz", ".npy", ".model", ".json", ".index", ".checkpoint"}) {
    const auto add = [&](const std::string& what, Kind kind, const std::string& fragment,
                         const std::string& target = "") {
      out.push_back({{"H31 " + what + " for " + (extension + 1), target, "IoError", fragment}, extension, 0, kind});
    };
    add("a folder", Kind::folder, "it is a directory");
    add("a pipe", Kind::pipe, "it is a pipe");
    add("a socket", Kind::socket, "");
    add("a link to dev zero", Kind::link, "it is a device", "/dev/zero");
    add("a link to a folder", Kind::link, "it is a directory", "/");
    // A checkpoint that is not there is one that is still to be written.
    if (extension != ".checkpoint"s) add("a link to nothing", Kind::link, "cannot open", "absent");
  }
}

/// H27: values that begin at odd addresses, for all that need another.
void add_unaligned(std::vector<HostileFile>& out) {
  const std::string value = le(0x3FF8000000000000, 8) + le(0xC000000000000000, 8);  // 1.5, -2
  const auto add = [&](const std::string& what, const std::string& header, const std::string& data,
                       const std::vector<double>& values) {
    out.push_back({{"H27 " + what, st(header, data), "accepted", ""}, ".safetensors"});
    out.back().values = values;
  };
  const std::string one = R"({"x":{"dtype":"F64","shape":[2],"data_offsets":[0,16]}})";
  for (std::size_t spaces = 0; spaces < 8; ++spaces)
    add("float64 behind a header of " + std::to_string(one.size() + spaces) + " bytes", one + std::string(spaces, ' '),
        value, {1.5, -2});
  add("float64 behind one byte",
      R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"x":{"dtype":"F64","shape":[2],"data_offsets":[1,17]}})",
      "\x07" + value, {7, 1.5, -2});
  add("float16 and int64 behind one byte",
      R"({"a":{"dtype":"BOOL","shape":[1],"data_offsets":[0,1]},"h":{"dtype":"F16","shape":[1],"data_offsets":[1,3]},)"
      R"("i":{"dtype":"I64","shape":[1],"data_offsets":[3,11]}})",
      "\x01\x00\x3E"s + le(~std::uint64_t{0}, 8), {1, 1.5, -1});
}

/// H80: the numbers 0, 1, 2 … in row-major order after reading, stored in each way, for ranks 0 to 5.
void add_orders(std::vector<HostileFile>& out) {
  for (std::size_t rank = 0; rank <= 5; ++rank)
    for (const bool fortran : {false, true})
      for (const bool big : {false, true}) {
        std::string shape;
        std::vector<std::size_t> sizes;
        for (std::size_t axis = 0; axis < rank; ++axis) sizes.push_back(axis == 2 ? 1 : axis + 2);
        std::size_t count = 1;
        for (const std::size_t size : sizes) shape += std::to_string(size) + ",", count *= size;
        std::string data(4 * count, '\0');
        std::vector<double> values;
        for (std::size_t i = 0; i < count; ++i) {
          values.push_back(static_cast<double>(i));
          // The place of element `i`: its indices, last axis fastest in C order, first axis fastest in Fortran's.
          std::size_t place = 0, rest = i, stride = count;
          for (std::size_t axis = rank; axis-- > 0;) {
            const std::size_t index = rest % sizes[axis];
            rest /= sizes[axis];
            stride /= sizes[axis];
            place += index * stride;  // stride: the product of the axes before this one
          }
          std::uint32_t bits = 0;
          const auto number = static_cast<float>(i);
          std::memcpy(&bits, &number, 4);
          const std::string stored = le(big ? __builtin_bswap32(bits) : bits, 4);
          data.replace(4 * (fortran ? place : i), 4, stored);
        }
        const std::string header = "{'descr': '"s + (big ? '>' : '<') +
                                   "f4', 'fortran_order': " + (fortran ? "True" : "False") + ", 'shape': (" + shape +
                                   "), }\n";
        out.push_back({{"H80 rank " + std::to_string(rank) + (fortran ? ", Fortran's order" : ", C's order") +
                            (big ? ", big-endian" : ", little-endian"),
                        "\x93NUMPY\1\0"s + le(header.size(), 2) + header + data, "accepted", ""},
                       ".npy"});
        out.back().values = values;
      }
}

/// H98: what is under such a name is read; what is wrong with it is said with the name made visible.
void add_odd_names(std::vector<HostileFile>& out) {
  const std::string tensor = st(R"({"b":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})", "x");
  const auto add = [&](const std::string& what, const std::string& bytes, const char* extension,
                       const std::string& name, const std::string& category, const std::string& fragment,
                       const std::vector<Companion>& beside = {}) {
    out.push_back({{"H98 " + what, bytes, category, fragment}, extension, 0, Kind::file, kOdd + name, beside});
  };
  add("a name that is no UTF-8", tensor, ".safetensors", ".safetensors", "accepted", "");
  add("a name that is no UTF-8 for what is refused", "{}", ".safetensors", ".safetensors", "FormatError",
      "/\\xff\\xfe.safetensors'");
  add("a name that is no UTF-8 for npy", zeros(3), ".npy", ".npy", "accepted", "");
  add("a name that is no UTF-8 for npz", make_zip({{"a.npy", zeros(3)}}), ".npz", ".npz", "accepted", "");
  add("a name that is no UTF-8 for a refused pt", "hello", ".pt", ".pt", "FormatError", "/\\xff\\xfe.pt'");
  add("a name that is no UTF-8 for a refused architecture", "[", ".json", ".json", "FormatError", "\\xff\\xfe.json");
  add("a name that is no UTF-8 for an index", R"({"weight_map": {"b": "s.safetensors"}})", ".index", ".json",
      "accepted", "", {{"s.safetensors", tensor}});
  add("a name that is no UTF-8 for a refused index", R"({"weight_map": {"b": "s.safetensors"}})", ".index", ".json",
      "IoError", "/\\xff\\xfe.json'");
  add("a name with control characters for what is refused", "{}", ".safetensors", "\x1b[2J.safetensors", "FormatError",
      "\\xff\\xfe\\x1b[2J.safetensors'");
  out.push_back({{"a name of 200 bytes for what is refused", "{}", "FormatError", "nnn.safetensors', byte 0: "},
                 ".safetensors",
                 0,
                 Kind::file,
                 std::string(200, 'n') + ".safetensors"});
}

}  // namespace

std::vector<HostileFile> path_cases() {
  std::vector<HostileFile> out;
  add_no_files(out);
  add_unaligned(out);
  add_orders(out);
  add_odd_names(out);
  return out;
}

}  // namespace coppice::test
