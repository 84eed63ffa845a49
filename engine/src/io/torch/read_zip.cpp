#include <algorithm>
#include <charconv>

#include "coppice/engine/checked.h"
#include "io/torch/collect.h"
#include "io/torch/containers.h"
#include "io/zip/zip.h"

namespace coppice {
namespace {

constexpr std::uint64_t kNewestVersion = 10;  // of the container, as PyTorch's reader

std::string_view text_of(const ZipReader& zip, const ZipMember& member, MemoryBudget& budget,
                         std::shared_ptr<Storage>& keeper) {
  if (member.bytes > 64)
    zip.source().reject("member ", quote(member.name), " must have at most 64 bytes; it has ", member.bytes);
  keeper = zip.contents(member, budget);
  return {reinterpret_cast<const char*>(keeper->data()), keeper->bytes()};
}

void check_version(const ZipReader& zip, const std::string& root, MemoryBudget& budget) {
  const ZipMember* member = zip.find(root + "/version");
  if (member == nullptr) zip.source().reject("the archive must have a member ", quote(root + "/version"));
  std::shared_ptr<Storage> keeper;
  std::string_view text = text_of(zip, *member, budget, keeper);
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.remove_suffix(1);
  std::uint64_t version = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), version);
  if (error != std::errc() || end != text.data() + text.size() || version == 0 || version > kNewestVersion)
    zip.source().reject("versions 1..", kNewestVersion, " of the container are read; got ", quote(text));
}

/// Whether values are big-endian. Before the member came, files had the order of their writer: little, in practice.
bool is_big_endian(const ZipReader& zip, const std::string& root, MemoryBudget& budget) {
  const ZipMember* member = zip.find(root + "/byteorder");
  if (member == nullptr) return false;
  std::shared_ptr<Storage> keeper;
  const std::string_view order = text_of(zip, *member, budget, keeper);
  if (order != "little" && order != "big") zip.source().reject("byteorder must be little or big; it is ", quote(order));
  return order == "big";
}

/// Whether the archive is TorchScript's, whose code is left alone.
bool holds_code(const ZipReader& zip, const std::string& root) {
  return zip.find(root + "/constants.pkl") != nullptr ||
         std::ranges::any_of(zip.members(), [&](const ZipMember& m) { return m.name.starts_with(root + "/code/"); });
}

/// What says that the archive is not what torch.save wrote.
[[noreturn]] void reject_other(const ZipReader& zip, const std::string& root) {
  if (zip.find(root + "/archive_format") != nullptr || zip.find("archive_format") != nullptr)
    zip.source().reject("the archive is a program of torch.export (.pt2); save program.state_dict with torch.save");
  if (zip.find(root + "/model.json") != nullptr)
    zip.source().reject(
        "the archive is TorchScript of before PyTorch 1.4; load it with torch.jit.load and save its "
        "state_dict() with torch.save");
  zip.source().reject("the archive must have a member ", quote(root + "/data.pkl"),
                      ": it was not written by torch.save");
}

}  // namespace

NamedTensors read_torch_zip(const std::shared_ptr<MappedFile>& file, const Source& source, const ReadOptions& options,
                            const std::string& stem) {
  const ZipReader zip(file, source, options);
  MemoryBudget budget(source, options.limits, file->bytes().size());
  if (zip.members().empty()) source.reject("the archive is empty");
  const std::string& first = zip.members().front().name;
  const std::string root = first.substr(0, first.find('/'));
  const bool script = holds_code(zip, root);
  if (script && options.strict)
    source.reject("the file is a TorchScript archive, which holds code; save model.state_dict() instead");
  const ZipMember* pickle_member = zip.find(root + "/data.pkl");
  if (pickle_member == nullptr) reject_other(zip, root);
  check_version(zip, root, budget);
  const bool swap = is_big_endian(zip, root, budget);
  if (pickle_member->bytes > options.limits.header_bytes)
    source.exceeded("header_bytes", "bytes of the pickle", options.limits.header_bytes, pickle_member->bytes);

  const auto pickle_bytes = zip.contents(*pickle_member, budget);
  const Source place = pickle_member->deflated ? inside(source, *pickle_member) : source;
  ByteReader reader({pickle_bytes->data(), pickle_bytes->bytes()}, place,
                    pickle_member->deflated ? 0 : pickle_member->data_offset);
  PickleReader pickle(reader, options.limits, options.strict);
  const PickleRef object = pickle.read();
  if (reader.remaining() != 0) reader.reject(reader.remaining(), " bytes follow the STOP of the pickle");
  TensorMaker maker(pickle, source, budget, swap, [&](const PickleStorage& storage) {
    const ZipMember* member = zip.find(cat(root, "/data/", storage.key));
    if (member == nullptr) source.reject("there is no member for storage ", quote(storage.key));
    return zip.contents(*member, budget);
  });
  NamedTensors out = TensorCollector(pickle, source, options, budget, maker).collect(object, stem);
  if (script) out.skipped().emplace_back("code and constants: TorchScript, which is not run");
  return out;
}

}  // namespace coppice
