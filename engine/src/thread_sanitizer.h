#pragma once
/// What ThreadSanitizer must be told about oneTBB, whose library is not instrumented: its own hand-over between
/// threads would look like races, and the order that it creates would not be seen. Empty in other builds.

#if defined(__SANITIZE_THREAD__)
#define COPPICE_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define COPPICE_TSAN 1
#endif
#endif

#ifdef COPPICE_TSAN
extern "C" {
void AnnotateIgnoreReadsBegin(const char* file, int line);
void AnnotateIgnoreReadsEnd(const char* file, int line);
void AnnotateIgnoreWritesBegin(const char* file, int line);
void AnnotateIgnoreWritesEnd(const char* file, int line);
void __tsan_acquire(void* address);
void __tsan_release(void* address);
}
#endif

namespace coppice::tsan {

#ifdef COPPICE_TSAN

inline void ignore() {
  AnnotateIgnoreReadsBegin(__FILE__, __LINE__);
  AnnotateIgnoreWritesBegin(__FILE__, __LINE__);
}
inline void watch() {
  AnnotateIgnoreWritesEnd(__FILE__, __LINE__);
  AnnotateIgnoreReadsEnd(__FILE__, __LINE__);
}

/// For a thread of the scheduler, until it ends: only bodies are watched.
inline void ignore_this_thread() {
  struct Balance {
    Balance() { ignore(); }
    ~Balance() { watch(); }
  };
  thread_local Balance balance;
  (void)balance;
}

/// The caller hands a job to the scheduler and waits for it.
struct Ignored {
  void* job;
  explicit Ignored(void* j) : job(j) {
    __tsan_release(job);
    ignore();
  }
  ~Ignored() {
    watch();
    __tsan_acquire(job);
  }
};

/// A thread of the scheduler works on the job.
struct Watched {
  void* job;
  explicit Watched(void* j) : job(j) {
    watch();
    __tsan_acquire(job);
  }
  ~Watched() {
    __tsan_release(job);
    ignore();
  }
};

#else

struct Ignored {
  explicit Ignored(void*) {}
};
struct Watched {
  explicit Watched(void*) {}
};

#endif

}  // namespace coppice::tsan
