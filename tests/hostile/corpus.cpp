#include "hostile/corpus.h"

#include <sys/stat.h>

#include <cctype>

#include "coppice/engine/io/npy.h"
#include "coppice/engine/io/safetensors.h"
#include "coppice/engine/io/sharded.h"
#include "coppice/engine/io/torch_file.h"
#include "coppice/nn/io/architecture.h"
#include "coppice/nn/io/model_file.h"
#include "coppice/sparsity/pack/sparse_members.h"
#include "hostile/colliding_names.h"
#include "hostile/pickle.h"
#include "hostile/small_run.h"

namespace fs = std::filesystem;

namespace coppice::test {
namespace {

/// Makes what `kind` says at `path`; a hard link leads to a neighbour, by its name.
void make(const fs::path& path, Kind kind, const std::string& bytes) {
  switch (kind) {
    case Kind::file: return spill(path, bytes);
    case Kind::folder: return (void)fs::create_directory(path);
    case Kind::link: return fs::create_symlink(bytes, path);
    case Kind::hard_link: return fs::create_hard_link(path.parent_path() / bytes, path);
    case Kind::pipe:
    case Kind::socket: break;
  }
  const mode_t type = kind == Kind::pipe ? S_IFIFO : S_IFSOCK;
  if (::mknod(path.c_str(), type | 0600, 0) != 0) throw std::runtime_error("cannot make " + path.string());
}

std::string many_entries(int count) {
  std::string header = "{";
  for (int i = 0; i < count; ++i)
    header += "\"" + std::to_string(i) + R"(":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},)";
  header.back() = '}';
  return st(header);
}

std::string doubling(const std::string& start, int times) {
  std::string pickle = start;
  for (int i = 0; i < times; ++i) pickle += std::string("q\0h\0\x86", 5);
  return pickle::pt(pickle);
}

std::string many_members(int count) {
  std::vector<Member> members;
  for (int i = 0; i < count; ++i) members.push_back({std::to_string(i) + ".npy", zeros(0)});
  return make_zip(members);
}

/// One list of `pairs` pairs, made into an OrderedDict `times` times.
std::string copied_dicts(int pairs, int times) {
  std::string body = "(](";
  for (int i = 0; i < pairs; ++i) body += "K" + le(static_cast<unsigned>(i) % 256, 1) + std::string("K\0\x86", 3);
  body += "eq" + std::string(1, '\0');
  for (int i = 0; i < times; ++i)
    body += pickle::global("collections", "OrderedDict") + "h" + std::string(1, '\0') + "\x85R";
  return pickle::pt(body + "t");
}

/// One tensor under `count` names below a key of `bytes` bytes.
std::string many_names(int count, std::size_t bytes, std::uint64_t numel = 4) {
  std::string body = "(" +
                     pickle::tensor(pickle::num(0), pickle::tuple({pickle::num(numel)}),
                                    pickle::tuple({pickle::num(1)}), pickle::storage(numel)) +
                     "q" + std::string(1, '\0') + "}" + pickle::text(std::string(bytes, 'k')) + "}(";
  for (int i = 0; i < count; ++i) body += pickle::text(std::to_string(i)) + "h" + std::string(1, '\0');
  return pickle::pt(body + "ust", std::string(4 * numel, '\0'));
}

/// A tensor of these sizes and strides over 16 bytes.
std::string view(const std::vector<std::uint64_t>& sizes, const std::vector<std::uint64_t>& strides) {
  const auto numbers = [](const std::vector<std::uint64_t>& list) {
    std::vector<std::string> out;
    for (const std::uint64_t n : list) out.push_back(pickle::num(n));
    return pickle::tuple(out);
  };
  return pickle::pt(pickle::dict(
      pickle::tensor(pickle::num(0), numbers(sizes), numbers(strides), pickle::storage(16, "ByteStorage"))));
}

std::string long_view() {
  std::vector<std::uint64_t> sizes(16, 1);
  sizes[0] = 1u << 27;
  return view(sizes, std::vector<std::uint64_t>(16, 0));
}

/// Objects that are made of each other, `depth` deep.
std::string chain_of_objects(int depth) {
  std::string body = "}" + pickle::text("w") + pickle::global("a", "B") + "q\1)R";
  for (int i = 0; i < depth; ++i) body += "q\2" + std::string("0h\1h\2\x85R");
  return pickle::pt(body + "s");
}

/// `count` objects, each of which holds a list of all of them and a tensor.
std::string circle_of_objects(int count) {
  std::string body = "]q" + std::string(1, '\0') + "(" + pickle::global("a", "B") + "q\1)R";
  for (int i = 0; i < count; ++i)
    body += std::string("h\1)R}(") + pickle::text("all") + "h" + std::string(1, '\0') + pickle::text("t") +
            (i == 0 ? pickle::kGood + "q\2" : std::string("h\2")) + "ub";
  return pickle::pt(body + "e");
}

/// Many names of one hash, in each container that holds names.
std::vector<HostileFile> flooding() {
  const std::vector<std::string> names = colliding_names(20'000);
  std::string header = "{", index = R"({"weight_map":{)", dict = "}(";
  std::vector<Member> members;
  for (const std::string& name : names) {
    header += "\"" + name + R"(":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},)";
    index += "\"" + name + R"(":"absent.safetensors",)";
    dict += pickle::text(name) + (dict.size() == 2 ? pickle::kGood + "q" : std::string("h")) + std::string(1, '\0');
    members.push_back({name + ".npy", zeros(0)});
  }
  header.back() = index.back() = '}';
  return {{{"H11 20,000 names of one hash", st(header), "accepted", ""}, ".safetensors"},
          {{"20,000 tensors of one hash", pickle::pt(dict + "u"), "accepted", ""}, ".pt"},
          {{"H71 20,000 members of nearly one hash", make_zip(members), "accepted", ""}, ".npz"},
          {{"20,000 tensors of one hash in an absent shard", index + "}", "IoError", "absent.safetensors"}, ".index"}};
}

/// Costly rather than wrong.
std::vector<HostileFile> costly() {
  return {
      {{"H07 a header just above the limit, a hole of 64 GB behind it", le((1u << 24) + 1, 8) + "{", "LimitError",
        "Limits::header_bytes"},
       ".safetensors",
       std::uint64_t{1} << 36},
      {{"H13 metadata is null", st(R"({"__metadata__":null})"), "accepted", ""}, ".safetensors"},
      {{"H11 200,000 entries", many_entries(200'000), "accepted", ""}, ".safetensors"},
      {{"H11 entries above the limit of the header", many_entries(350'000), "LimitError", "Limits::header_bytes"},
       ".safetensors"},
      {{"H48 tuples that double 40 times", doubling(pickle::kGood, 40), "FormatError", "paths lead to them"}, ".pt"},
      {{"objects made of each other, 300,000 deep", chain_of_objects(300'000), "accepted", "w: a.B"}, ".pt"},
      {{"3,000 objects that hold each other", circle_of_objects(3'000), "accepted", "in all: "}, ".pt"},
      {{"H56 the largest stride on an axis of size 1", view({2, 1, 2}, {1, INT64_MAX, 2}), "accepted", ""}, ".pt"},
      {{"H56 one byte in 2^27 places along the first of sixteen axes", long_view(), "accepted", ""}, ".pt"},
      {{"H48 empty tuples that double 60 times", doubling(")", 60), "accepted", ""}, ".pt"},
      {{"a list of 20,000 pairs in 20,000 dicts", copied_dicts(20'000, 20'000), "LimitError", "Limits::objects"},
       ".pt"},
      {{"10,000 names below a key of 4,000 bytes", many_names(10'000, 4'000), "LimitError", "Limits::header_bytes"},
       ".pt"},
      {{"3,000 names of one tensor", many_names(3'000, 10), "accepted", ""}, ".pt"},
      {{"10,000 names of a tensor of 1 MB", many_names(10'000, 10, 250'000), "LimitError", "Limits::extra_bytes"},
       ".pt"},
      {{"H71 60,000 members", many_members(60'000), "accepted", ""}, ".npz"},
      {{"H90 one member of several damaged",
        make_zip({{"a.npy", zeros(3)}, {"b.npy", zeros(3), 0, 0, UINT64_MAX, "", 1}, {"c.npy", zeros(3)}}),
        "FormatError", "member 'b.npy' is damaged"},
       ".npz"},
  };
}

}  // namespace

std::string HostileFile::id() const {
  const std::string word = input.what.substr(0, input.what.find(' '));
  const bool number = word.size() >= 3 && word[0] == 'H' && std::isdigit(static_cast<unsigned char>(word[1]));
  return number ? word : "";
}

std::string HostileFile::entry_name(std::size_t place) const {
  std::string out = id().empty() ? "" : id() + "-";
  out += std::to_string(place) + "-";
  for (const char c : input.what.substr(id().empty() ? 0 : id().size() + 1))
    out += std::isalnum(static_cast<unsigned char>(c)) ? c : '-';
  out = out.substr(0, 60);
  if (!own_name.empty()) return out;
  return out + (extension == ".model" || extension == ".members" || extension == ".checkpoint" ? ".safetensors"
                : extension == ".index"                                                        ? ".index.json"
                                                                                               : extension);
}

std::vector<HostileFile> hostile_corpus() {
  std::vector<HostileFile> out;
  const auto add = [&out](const std::vector<Hostile>& table, const char* extension) {
    for (const Hostile& row : table) out.push_back({row, extension});
  };
  add(safetensors_structure(), ".safetensors");
  add(safetensors_values(), ".safetensors");
  add(torch_code(), ".pt");
  add(torch_calls(), ".pt");
  add(torch_machine(), ".pt");
  add(torch_tensors(), ".pt");
  add(torch_containers(), ".pt");
  add(zip_cases(), ".npz");
  add(npy_cases(), ".npy");
  add(model_cases(), ".model");
  add(sparse_member_cases(), ".members");
  add(architecture_cases(), ".json");
  for (auto* table : {&sharded_cases, &checkpoint_cases, &path_cases, &costly, &flooding})
    for (HostileFile& file : table()) out.push_back(std::move(file));
  return out;
}

fs::path write_hostile(const HostileFile& file, const fs::path& dir, std::size_t place) {
  fs::path path = dir / file.entry_name(place);
  fs::remove_all(path);  // of an earlier time
  if (!file.own_name.empty()) {
    fs::create_directories(path);
    for (const Companion& c : file.beside) make(path / c.name, c.kind, c.bytes);
    path /= file.own_name;
  }
  make(path, file.kind, file.input.bytes);
  if (file.padded_bytes != 0) fs::resize_file(path, file.padded_bytes);
  return path;
}

void read_hostile(const HostileFile& file, const fs::path& path) {
  NamedTensors read;
  if (file.extension == ".safetensors")
    read = read_safetensors(path);
  else if (file.extension == ".pt")
    read = read_torch(path);
  else if (file.extension == ".npz")
    read = read_npz(path);
  else if (file.extension == ".npy")
    read.add("x", read_npy(path));
  else if (file.extension == ".index")
    read = read_sharded(path);
  else if (file.extension == ".model")
    (void)nn::load_model(path);
  else if (file.extension == ".members")
    read = sparsity::expand(read_safetensors(path), path.string());
  else if (file.extension == ".json")
    (void)nn::read_architecture(path);
  else if (file.extension == ".checkpoint")
    (void)resume_small_run(path);
  else
    throw std::logic_error("no reader for " + file.extension);
  if (file.values.empty()) return;
  std::vector<double> values;
  for (const auto& [name, tensor] : read)
    for (const double value : tensor.to_vector<double>()) values.push_back(value);
  if (values != file.values) throw std::logic_error("the values that were read are others");
}

}  // namespace coppice::test
