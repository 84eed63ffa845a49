#include <cstring>
#include <random>

#include "fuzz/mutate.h"
#include "fuzz/mutate_text.h"
#include "fuzz/shard_frame.h"

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t most);

namespace coppice::fuzz {
namespace {

constexpr std::size_t kLargestPart = 8192;

std::string mutate_shard(std::string bytes, unsigned seed) {
  const std::size_t size = bytes.size();
  bytes.resize(size + 64);
  bytes.resize(mutate_framed(reinterpret_cast<std::uint8_t*>(bytes.data()), size, bytes.size(), seed));
  return bytes;
}

}  // namespace

std::size_t mutate_sharded(std::uint8_t* data, std::size_t size, std::size_t most, unsigned seed) {
  std::minstd_rand random(seed + 1);
  if (size == 0 || random() % 20 == 0) return LLVMFuzzerMutate(data, size, most);
  ShardFrame frame = unframed({reinterpret_cast<const char*>(data), size});
  std::string& shard = frame.shards[random() % frame.shards.size()];
  const auto next = static_cast<unsigned>(random());
  switch (random() % 8) {
    case 0: frame.set_kind(random() % frame.shards.size(), static_cast<ShardKind>(random() % 4)); break;
    case 1: shard = frame.shards[random() % frame.shards.size()]; break;  // a tensor in two shards
    case 2: std::swap(shard, frame.shards[random() % frame.shards.size()]); break;
    case 3: shard = mutate_shard(std::move(shard), next); break;
    case 4: frame.kinds = 0; [[fallthrough]];  // what is all in order is rare otherwise
    default: frame.index = mutate_json_text(std::move(frame.index), next);
  }
  if (frame.index.size() > kLargestPart || shard.size() > kLargestPart) return LLVMFuzzerMutate(data, size, most);
  const std::string out = framed(frame);
  if (out.size() > most) return LLVMFuzzerMutate(data, size, most);
  std::memcpy(data, out.data(), out.size());
  return out.size();
}

}  // namespace coppice::fuzz
