// Using the cut: masks, and the selection as PyTorch makes it.
#include "select/select.h"

#include <algorithm>
#include <cstdlib>
#include <ranges>

#include "coppice/engine/parallel.h"
#include "select/keys.h"

namespace coppice::selection {
namespace {

/// The number 1 of a type, as an unsigned integer of its size.
std::uint64_t one_bits(Dtype dtype) {
  switch (dtype) {
    case Dtype::f32: return std::bit_cast<std::uint32_t>(1.0f);
    case Dtype::f64: return std::bit_cast<std::uint64_t>(1.0);
    case Dtype::f16: return 0x3c00;
    case Dtype::bf16: return 0x3f80;
    default: return 1;
  }
}

/// Calls f with a null pointer to the unsigned integer of `size` bytes.
template <class F>
void with_word(std::size_t size, F f) {
  switch (size) {
    case 1: return f(static_cast<std::uint8_t*>(nullptr));
    case 2: return f(static_cast<std::uint16_t*>(nullptr));
    case 4: return f(static_cast<std::uint32_t*>(nullptr));
    default: return f(static_cast<std::uint64_t*>(nullptr));
  }
}

/// Mask of a block by `key` alone: what is equal to it is kept.
template <class Key, class Word>
void write_block(const Key* keys, std::int64_t n, Key key, Key none, Word one, Word* out) {
  if constexpr (sizeof(Key) == 4 && sizeof(Word) == 4)
    return kernels::in_use().select.mask_words(keys, n, key, none, one, out);
  for (std::int64_t i = 0; i < n; ++i) out[i] = ((keys[i] >= key) & (keys[i] != none)) ? one : Word{0};
}

/// Positions of elements that are equal to the cut, in a sequence of spans.
struct Place {
  std::size_t span;
  std::int64_t index;
};
constexpr std::int64_t kRemembered = 1 << 14;  // positions: 256 KB; with more of them a pass counts them first

void zero(const MaskOut& mask, std::int64_t index) {
  with_word(itemsize(mask.dtype), [&]<class Word>(Word*) { static_cast<Word*>(mask.data)[index] = 0; });
}

template <class Key>
void write(const Sequence& seq, const Cut& cut, std::span<const MaskOut> masks) {
  const Key none = no_key<Key>(seq.ranking), key = static_cast<Key>(cut.key);
  const bool with_equal = cut.take == cut.equal && cut.take > 0;
  const bool split = cut.take > 0 && !with_equal;  // only some of the equal ones go
  const bool remember = split && cut.equal <= kRemembered;
  const Key first_kept = with_equal ? key + 1 : key;
  const std::vector<std::int64_t> before = split && !remember ? count_before(seq, key) : std::vector<std::int64_t>{};
  std::vector<std::vector<Place>> equals(remember ? static_cast<std::size_t>(seq.ranges()) : 0);
  const bool nan = sizeof(Key) == 4 && cut.key > 0x7f800000u;
  parallel_for(seq.ranges(), 1, [&](Rows rows) {
    for (auto r = rows.begin; r < rows.end; ++r) {
      const auto range = static_cast<std::size_t>(r);
      std::int64_t quota = before.empty() ? 0 : cut.take - before[range];
      const bool counted = !before.empty() && before[range + 1] > before[range];
      const auto equal_ones = [&](auto is_equal, std::int64_t n, std::size_t span, std::int64_t first) {
        for (std::int64_t i = 0; i < n; ++i) {
          if (!is_equal(i)) continue;
          if (remember)
            equals[range].push_back({span, first + i});
          else if (quota-- > 0)
            zero(masks[span], first + i);
        }
      };
      seq.blocks<Key>(
          r,
          [&](std::size_t span) {
            return !masks[span].in_place && itemsize(masks[span].dtype) == 4 && !nan && !counted;
          },
          [&](const Key* keys, std::int64_t n, std::size_t span, std::int64_t first) {
            const MaskOut& mask = masks[span];
            with_word(itemsize(mask.dtype), [&]<class Word>(Word*) {
              Word* out = static_cast<Word*>(mask.data) + first;
              if (mask.in_place) {
                for (std::int64_t i = 0; i < n; ++i)
                  out[i] = ((keys[i] >= first_kept) & (keys[i] != none)) ? out[i] : Word{0};
              } else {
                write_block<Key, Word>(keys, n, first_kept, none, static_cast<Word>(one_bits(mask.dtype)), out);
              }
            });
            if ((remember && count_equal(keys, n, key) > 0) || (counted && quota > 0))
              equal_ones([&](std::int64_t i) { return keys[i] == key; }, n, span, first);
          },
          [&](const float* x, std::int64_t n, std::size_t span, std::int64_t first) {
            const MaskOut& mask = masks[span];
            const auto k = static_cast<std::uint32_t>(key);
            const std::int64_t equal = kernels::in_use().select.mask_f32(
                x, n, static_cast<std::uint32_t>(first_kept), k, static_cast<std::uint32_t>(one_bits(mask.dtype)),
                static_cast<std::uint32_t*>(mask.data) + first);
            if (!remember || equal == 0) return;
            equal_ones([&](std::int64_t i) { return (std::bit_cast<std::uint32_t>(x[i]) & 0x7fffffffu) == k; }, n, span,
                       first);
          });
    }
  });
  std::int64_t quota = cut.take;
  for (const std::vector<Place>& range : equals)
    for (const Place& place : range)
      if (quota-- > 0) zero(masks[place.span], place.index);
}

template <class Key>
std::vector<std::int64_t> topk(const Sequence& seq, std::int64_t k) {
  struct Entry {
    Key key;
    std::int64_t index;
  };
  std::vector<Entry> q;
  q.reserve(static_cast<std::size_t>(seq.total));
  const Key none = no_key<Key>(seq.ranking);
  for (std::int64_t r = 0; r < seq.ranges(); ++r)
    seq.blocks<Key>(r, [&](const Key* keys, std::int64_t n, std::size_t span, std::int64_t first) {
      for (std::int64_t i = 0; i < n; ++i)
        if (keys[i] != none) q.push_back({keys[i], seq.starts[span] + first + i});
    });
  const auto n = static_cast<std::int64_t>(q.size());
  check_count(k, n);
  std::vector<std::int64_t> out(static_cast<std::size_t>(k));
  if (k == 0) return out;
  // Values only are compared, never positions: which of equal ones comes first is the algorithms' doing.
  const auto before = [](const Entry& a, const Entry& b) { return a.key < b.key; };
  if (k <= n / 64) {
    std::partial_sort(q.begin(), q.begin() + k, q.end(), before);
  } else {
    std::nth_element(q.begin(), q.begin() + (k - 1), q.end(), before);
    std::sort(q.begin(), q.begin() + (k - 1), before);
  }
  for (std::int64_t i = 0; i < k; ++i) out[static_cast<std::size_t>(i)] = q[static_cast<std::size_t>(i)].index;
  return out;
}

}  // namespace

void write_masks(std::span<const Scores> scores, const Cut& cut, std::span<const MaskOut> masks) {
  const Sequence seq(scores, cut.ranking);
  if (seq.kind == KeyKind::float32)
    write<std::uint32_t>(seq, cut, masks);
  else
    write<std::uint64_t>(seq, cut, masks);
}

double value_of(const Cut& cut, std::span<const Scores> scores) {
  const Ranking r = cut.ranking;
  const auto decode = [&]<class Key, class Float>(Key key, Float) {
    if (r.largest) key = no_key<Key>(r) - 1 - key;
    constexpr Key sign = Key{1} << (std::numeric_limits<Key>::digits - 1);
    if (r.magnitude) return static_cast<double>(std::bit_cast<Float>(key));
    return static_cast<double>(std::bit_cast<Float>(key >= sign ? key - sign : (sign - key) | sign));
  };
  switch (kind_of(scores)) {
    case KeyKind::float32: return decode(static_cast<std::uint32_t>(cut.key), float{});
    case KeyKind::float64: return decode(cut.key, double{});
    case KeyKind::integer: break;
  }
  std::uint64_t key = cut.key;
  if (r.largest) key = no_key<std::uint64_t>(r) - 1 - key;
  return r.magnitude ? static_cast<double>(key)
                     : static_cast<double>(static_cast<std::int64_t>(key ^ (std::uint64_t{1} << 63)));
}

namespace {

/// Whether the scores are integers with the smallest one of their joint type among them: PyTorch's abs() leaves that
/// one negative.
bool has_least_integer(std::span<const Scores> scores, std::int64_t& least) {
  if (scores.empty()) return false;
  Dtype joint = scores[0].dtype;
  for (const Scores& s : scores) joint = promote(joint, s.dtype);
  if (is_floating(joint) || joint == Dtype::u8 || joint == Dtype::boolean) return false;
  least = INT64_MIN >> (64 - 8 * static_cast<int>(itemsize(joint)));
  return std::ranges::any_of(scores, [&](const Scores& s) {
    return dispatch(s.dtype, [&]<class T>() {
      const std::span values(static_cast<const T*>(s.data), static_cast<std::size_t>(s.size));
      return std::ranges::any_of(values, [&](T v) { return convert<std::int64_t>(v) == least; });
    });
  });
}

/// |x| of integers, but for `least`, which stays.
std::vector<std::int64_t> magnitudes_but(std::int64_t least, const Scores& s) {
  std::vector<std::int64_t> out(static_cast<std::size_t>(s.size));
  dispatch(s.dtype, [&]<class T>() {
    std::transform(static_cast<const T*>(s.data), static_cast<const T*>(s.data) + s.size, out.begin(), [&](T v) {
      const auto x = convert<std::int64_t>(v);
      return x == least ? x : std::abs(x);
    });
  });
  return out;
}

}  // namespace

std::vector<std::int64_t> pytorch_topk(std::span<const Scores> scores, std::int64_t k, Ranking ranking) {
  if (std::int64_t least = 0; ranking.magnitude && has_least_integer(scores, least)) {
    std::vector<Scores> wrapped(scores.begin(), scores.end());
    std::vector<std::vector<std::int64_t>> values;
    for (Scores& s : wrapped) {
      values.push_back(magnitudes_but(least, s));
      s.data = values.back().data();
      s.dtype = Dtype::i64;
    }
    return pytorch_topk(wrapped, k, {.magnitude = false, .largest = ranking.largest});
  }
  const Sequence seq(scores, ranking);
  return seq.kind == KeyKind::float32 ? topk<std::uint32_t>(seq, k) : topk<std::uint64_t>(seq, k);
}

void select_masks(std::span<const Scores> scores, std::int64_t k, Ranking ranking, TieRule ties,
                  std::span<const MaskOut> masks) {
  if (ties == TieRule::lowest_index) return write_masks(scores, find_cut(scores, k, ranking), masks);
  const std::vector<std::int64_t> chosen = pytorch_topk(scores, k, ranking);
  write_masks(scores, Cut{.ranking = ranking}, masks);  // selects nothing: 1 for all that takes part
  const Sequence seq(scores, ranking);
  for (const std::int64_t at : chosen) {
    const std::size_t span = seq.span_of(at);
    with_word(itemsize(masks[span].dtype),
              [&]<class Word>(Word*) { static_cast<Word*>(masks[span].data)[at - seq.starts[span]] = 0; });
  }
}

}  // namespace coppice::selection
