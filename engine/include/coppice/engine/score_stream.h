#pragma once
/// Selection among scores that are computed when they are wanted, so that none of them has to be stored.

#include <cstdint>

namespace coppice {

/// Scores in a fixed order. They are read once or several times, in pieces, by several threads at once.
class ScoreStream {
 public:
  ScoreStream() = default;
  ScoreStream(const ScoreStream&) = delete;
  ScoreStream& operator=(const ScoreStream&) = delete;
  virtual ~ScoreStream() = default;

  [[nodiscard]] virtual std::int64_t size() const = 0;
  /// How many numbers are read for one score, about: what tasks are made of.
  [[nodiscard]] virtual std::int64_t cost() const { return 1; }
  /// Scores number first .. first + n: a pointer to where they stand, or to `buffer`, which has room for them.
  virtual const float* read(std::int64_t first, std::int64_t n, float* buffer) const = 0;
  /// Fetches what read() of these will need into the cache, or does nothing.
  virtual void prefetch(std::int64_t /*first*/, std::int64_t /*n*/) const {}
  /// Takes what became of these scores: 0 = selected, 1 = not. They may change through it; others may not.
  virtual void write(std::int64_t first, std::int64_t n, const std::uint8_t* keep) = 0;
  /// The score that write() was told to keep is selected after all; by default through write().
  virtual void prune(std::int64_t index);
};

/// Which of a stream's scores are selected: those that rank before `value`, and of those equal to it the first `take`.
struct StreamCut {
  float value = 0;  ///< the score of the last one; undefined if none is selected
  std::int64_t take = 0;
  std::int64_t equal = 0;  ///< how many are equal to it
  std::uint32_t key = 0;   ///< `value` as write_cut() compares it
  bool magnitude = false;
};

/// The cut after the `count` smallest scores; of equal ones the first are selected. NaN ranks above every number, +0
/// and -0 are equal.
/// @param magnitude  ranks |score|
/// @throws ValueError  unless 0 <= count <= size
/// Cost: one reading and a sample; extra memory at most 1/20 of the scores' bytes, and 16 KB for each of at most 64
/// tasks. Where many scores are equal, or few parts of the stream hold most of those near the cut: up to four readings.
/// Same result for any number of threads.
[[nodiscard]] StreamCut find_cut(const ScoreStream& scores, std::int64_t count, bool magnitude);

/// Gives every score's fate to ScoreStream::write(), once each. Cost: one reading; two where the cut is among equals.
void write_cut(ScoreStream& scores, const StreamCut& cut);

/// find_cut() and write_cut() in one reading, for scores that do not change through write(), which may be told of them
/// again. What is near the cut is written as kept, and pruned when the cut is known.
/// Extra memory: at most 1/10 of the scores' bytes, half of it usually. Where that is too little: as the two calls.
StreamCut select_once(ScoreStream& scores, std::int64_t count, bool magnitude);

}  // namespace coppice
