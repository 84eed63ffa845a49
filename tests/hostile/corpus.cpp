#include "hostile/corpus.h"

#include <cctype>

#include "coppice/engine/io/npy.h"
#include "coppice/engine/io/safetensors.h"
#include "coppice/engine/io/torch_file.h"
#include "coppice/nn/io/architecture.h"
#include "coppice/nn/io/model_file.h"
#include "hostile/pickle.h"

namespace coppice::test {
namespace {

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

/// Costly rather than wrong.
std::vector<HostileFile> costly() {
  return {
      {{"H07 a header just above the limit, a hole of 64 GB behind it", le((1u << 24) + 1, 8) + "{", "LimitError",
        "Limits::header_bytes"},
       ".safetensors",
       std::uint64_t{1} << 36},
      {{"H11 200,000 entries", many_entries(200'000), "accepted", ""}, ".safetensors"},
      {{"H11 entries above the limit of the header", many_entries(350'000), "LimitError", "Limits::header_bytes"},
       ".safetensors"},
      {{"H48 tuples that double 40 times", doubling(pickle::kGood, 40), "FormatError", "paths lead to them"}, ".pt"},
      {{"H48 empty tuples that double 60 times", doubling(")", 60), "accepted", ""}, ".pt"},
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

std::string HostileFile::file_name(std::size_t place) const {
  std::string out = id().empty() ? "" : id() + "-";
  out += std::to_string(place) + "-";
  for (const char c : input.what.substr(id().empty() ? 0 : id().size() + 1))
    out += std::isalnum(static_cast<unsigned char>(c)) ? c : '-';
  return out.substr(0, 60) + (extension == ".model" ? ".safetensors" : extension);
}

std::vector<HostileFile> hostile_corpus() {
  std::vector<HostileFile> out;
  const auto add = [&out](const std::vector<Hostile>& table, const char* extension) {
    for (const Hostile& row : table) out.push_back({row, extension});
  };
  add(safetensors_structure(), ".safetensors");
  add(safetensors_values(), ".safetensors");
  add(torch_code(), ".pt");
  add(torch_machine(), ".pt");
  add(torch_tensors(), ".pt");
  add(torch_containers(), ".pt");
  add(zip_cases(), ".npz");
  add(npy_cases(), ".npy");
  add(model_cases(), ".model");
  add(architecture_cases(), ".json");
  for (HostileFile& file : costly()) out.push_back(std::move(file));
  return out;
}

void write_hostile(const HostileFile& file, const std::filesystem::path& path) {
  spill(path, file.input.bytes);
  if (file.padded_bytes != 0) std::filesystem::resize_file(path, file.padded_bytes);
}

void read_hostile(const HostileFile& file, const std::filesystem::path& path) {
  if (file.extension == ".safetensors") (void)read_safetensors(path);
  else if (file.extension == ".pt") (void)read_torch(path);
  else if (file.extension == ".npz") (void)read_npz(path);
  else if (file.extension == ".npy") (void)read_npy(path);
  else if (file.extension == ".model") (void)nn::load_model(path);
  else if (file.extension == ".json") (void)nn::read_architecture(path);
  else throw std::logic_error("no reader for " + file.extension);
}

}  // namespace coppice::test
