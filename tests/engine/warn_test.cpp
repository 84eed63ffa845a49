#include "coppice/engine/warn.h"

#include <doctest/doctest.h>

#include <string>
#include <thread>
#include <vector>

using namespace coppice;

namespace {

/// Sends warnings to a list while it lives.
struct Listening {
  std::vector<std::string> heard;
  WarningSink before = set_warning_sink([this](const std::string& text) { heard.push_back(text); });
  ~Listening() { set_warning_sink(before); }
};

}  // namespace

TEST_SUITE("engine/warn") {
  TEST_CASE("a text is sent once, another one too") {
    Listening list;
    for (int i = 0; i < 3; ++i) warn("once: step() before optimizer.step()");
    warn("once: other");
    CHECK(list.heard == std::vector<std::string>{"once: step() before optimizer.step()", "once: other"});
  }

  TEST_CASE("warn_always sends it every time") {
    Listening list;
    CHECK_FALSE(warn_always(true));
    for (int i = 0; i < 3; ++i) warn("always");
    CHECK(warn_always(false));
    warn("always");  // never sent under the rule of once
    warn("always");
    CHECK(list.heard.size() == 4);
  }

  TEST_CASE("the sink is replaced and comes back") {
    Listening outer;
    {
      Listening inner;
      warn("sink: to the inner one");
      CHECK(inner.heard.size() == 1);
    }
    warn("sink: to the inner one");  // new to this sink
    CHECK(outer.heard == std::vector<std::string>{"sink: to the inner one"});
  }

  TEST_CASE("CatchWarnings keeps each time, tells the sink nothing, and leaves no trace") {
    Listening list;
    {
      const CatchWarnings outer;
      warn("caught");
      {
        const CatchWarnings inner;
        warn("caught");
        CHECK(inner.texts() == std::vector<std::string>{"caught"});
      }
      warn("caught");
      CHECK(outer.texts() == std::vector<std::string>{"caught", "caught"});
    }
    CHECK(list.heard.empty());
    warn("caught");  // for the first time
    CHECK(list.heard.size() == 1);
  }

  TEST_CASE("many threads warn at once, and each text arrives once") {
    Listening list;
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t)
      threads.emplace_back([] {
        for (int i = 0; i < 100; ++i) warn("thread " + std::to_string(i));
      });
    for (std::thread& thread : threads) thread.join();
    CHECK(list.heard.size() == 100);
  }

  TEST_CASE("beyond the texts that are remembered every one is sent") {
    Listening list;
    for (int i = 0; i < 5000; ++i) warn("flood " + std::to_string(i));
    CHECK(list.heard.size() == 5000);
    warn("flood 4999");
    CHECK(list.heard.size() == 5001);
  }
}
