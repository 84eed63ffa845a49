#include "app.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cmath>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <iostream>

#include "coppice/engine/checked.h"
#include "coppice/engine/error.h"
#include "coppice/engine/io/mapped_file.h"

namespace coppice::cli {
namespace {

std::string results;
volatile std::sig_atomic_t interrupted = 0;
volatile std::sig_atomic_t at_once = 0;

void on_interrupt(int) {
  constexpr char kText[] = "coppice: interrupted; nothing was written\n";
  if (at_once != 0) (void)!write(STDERR_FILENO, kText, sizeof kText - 1);
  if (at_once != 0 || interrupted != 0) _exit(kInterrupted);
  interrupted = 1;
}

/// The first characters of `text`, `most` bytes at most.
std::string_view cut_text(std::string_view text, std::size_t most) {
  while (most > 0 && most < text.size() && (static_cast<unsigned char>(text[most]) & 0xC0) == 0x80) --most;
  return text.substr(0, most);
}

/// Only what a signal handler may do.
void on_bus_error(int, siginfo_t* info, void*) {
  const char* path = mapped_path_at(info->si_addr);
  if (path == nullptr) {  // another fault: it happens again, and ends the process
    std::signal(SIGBUS, SIG_DFL);
    return;
  }
  char text[700] = "coppice: '";
  std::size_t at = std::strlen(text);
  const std::size_t length = std::strlen(path);  // at most 511
  std::memcpy(text + at, path, length);
  at += length;
  constexpr char kEnd[] = "' became shorter while it was read, or its disk failed\n";
  std::memcpy(text + at, kEnd, sizeof kEnd - 1);
  (void)!write(STDERR_FILENO, text, at + sizeof kEnd - 1);
  _exit(kIo);
}

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace

CLI::App* App::command(const std::string& name, const std::string& description, const std::string& examples) {
  CLI::App* sub = parser.add_subcommand(name, description);
  sub->description("Examples:\n" + examples + "\n\n" + description);
  sub->add_flag("--json", json, "Results as one JSON document");
  sub->add_flag("-q,--quiet", quiet, "No notes or progress on stderr");
  sub->add_option("--threads", threads, "Threads to use (default: COPPICE_NUM_THREADS, else all processors)")
      ->transform(whole(1, 256));
  const auto limit = [&](const char* option, std::uint64_t& value, const char* what, std::uint64_t most = UINT64_MAX) {
    sub->add_option(option, value, what)->group("Limits")->transform(whole(0, most));
  };
  limit("--limit-file-bytes", read.limits.file_bytes, "Largest file that is read");
  limit("--limit-header-bytes", read.limits.header_bytes,
        "Largest header, pickle, zip directory, index or architecture; all names of a .pt together");
  limit("--limit-tensors", read.limits.tensors, "Most tensors in a file");
  limit("--limit-rank", read.limits.rank, "Most axes of a tensor");
  limit("--limit-name-bytes", read.limits.name_bytes, "Longest name of a tensor");
  limit("--limit-nesting", read.limits.nesting, "Deepest nesting of a pickle, an index or a description of modules",
        1000);
  limit("--limit-objects", read.limits.objects, "Most values in a pickle or description of modules");
  limit("--limit-shards", read.limits.shards, "Most files that the index of shards names");
  limit("--limit-extra-bytes", read.limits.extra_bytes, "Most memory beyond the size of the file");
  limit("--limit-inflate-ratio", read.limits.inflate_ratio, "Most times that a compressed member may grow");
  if (name != "verify")
    sub->add_flag_callback(
           "--no-checksums", [this] { read.verify = false; },
           "Do not compare the checksums that files carry: faster, but a flipped bit goes unnoticed")
        ->group("Reading");
  return sub;
}

void print(const std::string& line) { results += line + '\n'; }

void print(const std::string& schema, Json document) {
  Json out;
  out["schema"] = schema;
  for (auto& [key, value] : document.items()) out[key] = std::move(value);  // may list a million tensors: no copy
  // Text from a file may be no UTF-8: show it replaced rather than fail.
  print(out.dump(2, ' ', false, Json::error_handler_t::replace));
}

void flush_results() {
  const char* at = results.data();
  std::size_t left = results.size();
  while (left > 0) {
    const ssize_t n = write(STDOUT_FILENO, at, left);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      results.clear();
      throw IoError(cat("[stdout] cannot write the results: ", std::strerror(errno)));
    }
    at += n;
    left -= static_cast<std::size_t>(n);
  }
  results.clear();
}

void note(const App& app, const std::string& line) {
  if (!app.quiet) std::cerr << line << '\n';
}

std::string Table::text() const {
  std::vector<std::size_t> width(head.size());
  // A name from a file may have thousands of bytes, and would make every line as wide. What tells names apart stands at
  // their end.
  constexpr std::size_t kWidest = 100, kHead = 30;
  const auto cell = [](const std::string& text) {
    if (text.size() <= kWidest) return text;
    std::size_t from = text.size() - (kWidest - kHead - 3);
    while (from < text.size() && (static_cast<unsigned char>(text[from]) & 0xC0) == 0x80) ++from;
    return std::string(cut_text(text, kHead)) + "..." + text.substr(from);
  };
  const auto measure = [&](const std::vector<std::string>& row) {
    for (std::size_t i = 0; i < row.size() && i < width.size(); ++i)
      width[i] = std::max(width[i], std::min(row[i].size(), kWidest));
  };
  measure(head);
  for (const auto& row : rows) measure(row);
  const auto line = [&](const std::vector<std::string>& row) {
    std::string out;
    for (std::size_t i = 0; i < row.size() && i < width.size(); ++i) {
      const std::string text = cell(row[i]);
      const std::string pad(width[i] - text.size(), ' ');
      if (i > 0) out += "  ";
      out += i == 0 ? text + pad : pad + text;
    }
    return out.erase(out.find_last_not_of(' ') + 1);
  };
  std::string out = line(head);
  for (const auto& row : rows) out += '\n' + line(row);
  return out;
}

std::string grouped(std::int64_t n) {
  std::string text = cat(n);
  for (std::ptrdiff_t at = static_cast<std::ptrdiff_t>(text.size()) - 3; at > (n < 0 ? 1 : 0); at -= 3)
    text.insert(static_cast<std::size_t>(at), ",");
  return text;
}

std::string fixed(double value, int digits) {
  if (std::isnan(value)) return "nan";  // without a sign, which nobody chose
  char buffer[400];
  std::snprintf(buffer, sizeof buffer, "%.*f", digits, value);
  return buffer;
}

std::string percent(double fraction) { return fixed(100 * fraction, 1) + " %"; }

bool replaceable(const std::string& path) {
  struct stat info {};
  if (::lstat(path.c_str(), &info) != 0) {
    if (errno == ENOENT) return false;
    throw IoError(cat("cannot write ", quote_path(path), ": ", std::strerror(errno)));  // such as a name too long
  }
  if (::stat(path.c_str(), &info) == 0 && !S_ISREG(info.st_mode))  // a link that leads nowhere is replaced
    throw IoError(cat(quote_path(path), " must be a regular file to be replaced; it is ",
                      S_ISDIR(info.st_mode) ? "a directory" : "a pipe, socket or device"));
  return true;
}

void check_output(const std::string& output, const std::vector<std::string>& inputs, bool force) {
  if (output.empty()) throw UsageError("the output must have a name; got ''");
  std::error_code ignored;
  // By name too: an input may be a file that is written before the output.
  const std::filesystem::path place = std::filesystem::weakly_canonical(output, ignored);
  for (const std::string& input : inputs)
    if (std::filesystem::equivalent(output, input, ignored) ||
        (!place.empty() && place == std::filesystem::weakly_canonical(input, ignored)))
      throw UsageError(cat("the output '", output, "' is the input '", input, "': inputs are never overwritten"));
  if (replaceable(output) && !force) throw UsageError(cat("'", output, "' exists; pass --force to replace it"));
  const std::filesystem::path folder = std::filesystem::path(output).parent_path();
  if (access(folder.empty() ? "." : folder.c_str(), W_OK | X_OK) != 0)
    throw IoError(cat("cannot write into the folder of '", output, "': ", std::strerror(errno)));
}

void writes_safetensors(const std::string& output) {
  for (const char* other : {".pt", ".pth", ".npz", ".npy", ".json"})
    if (std::filesystem::path(output).extension() == other)
      throw UsageError(cat("'", output, "' would be a safetensors file, not ", other, "; `coppice convert` writes others"));
}

SafetensorsWriteOptions write_options(const std::string& output, bool checksums) {
  const std::string extension = std::filesystem::path(output).extension().string();
  const bool zip = extension == ".pt" || extension == ".pth" || extension == ".npz";
  if (checksums && extension != ".safetensors")
    throw UsageError(cat("--checksums has an effect with .safetensors only", zip ? "; a zip archive has its own" : "",
                         "; got '", output, "'"));
  SafetensorsWriteOptions options;
  options.checksums = checksums;
  return options;
}

void only_with(const CLI::Option& option, const std::string& what) {
  if (option.count() > 0) throw UsageError(cat(option.get_name(), " has an effect with ", what, " only"));
}

CLI::Validator finite(double low, double high) {
  return {[low, high](std::string& text) -> std::string {
            double value = 0;
            const auto [at, error] = std::from_chars(text.data(), text.data() + text.size(), value);
            if (error == std::errc() && at == text.data() + text.size() && value >= low && value <= high) return {};
            return cat("must be a number in ", low, "..", high, "; got '", text, "'");
          },
          cat("NUMBER in ", low, "..", high)};
}

CLI::Validator whole(std::int64_t low, std::uint64_t high) {
  return {[low, high](std::string& text) -> std::string {
            const char* const end = text.data() + text.size();
            std::int64_t negative = 0;
            std::uint64_t value = 0;
            const bool below = text.starts_with('-');
            const auto [at, error] =
                below ? std::from_chars(text.data(), end, negative) : std::from_chars(text.data(), end, value);
            const bool inside =
                below ? negative >= low : value <= high && (low <= 0 || value >= static_cast<std::uint64_t>(low));
            if (error != std::errc() || at != end || !inside)
              return cat("must be a whole number in ", low, "..", high, "; got '", text, "'");
            text = below ? cat(negative) : cat(value);  // without zeros in front
            return {};
          },
          high < INT64_MAX ? cat("in ", low, "..", high) : std::string()};
}

void catch_shortened_files() {
  struct sigaction action {};
  action.sa_sigaction = on_bus_error;
  action.sa_flags = SA_SIGINFO;
  (void)sigaction(SIGBUS, &action, nullptr);
}

void catch_interrupt() {
  std::signal(SIGINT, on_interrupt);
  std::signal(SIGTERM, on_interrupt);
}

void check_interrupt(const std::string& left) {
  if (interrupted != 0) throw Interrupted{left};
}

void interrupt_at_once() {
  check_interrupt();
  at_once = 1;
}

void write_output(const std::string& output, const std::function<void()>& save) {
  at_once = 0;
  check_interrupt();
  save();
  if (interrupted != 0) throw Interrupted{cat("'", output, "' is written whole")};
}

Progress::Progress(const App& app, std::string what, std::int64_t total)
    : shown_(!app.quiet && isatty(STDERR_FILENO) == 1), what_(std::move(what)), total_(total), start_(now()) {}

Progress::~Progress() {
  if (shown_) std::cerr << "\r\033[K" << std::flush;
}

void Progress::update(std::int64_t done, const std::string& detail) {
  if (!shown_) return;
  const double spent = now() - start_;
  std::cerr << "\r\033[K" << what_ << ' ' << done << '/' << total_;
  if (!detail.empty()) std::cerr << "  " << detail;
  if (done > 0 && done < total_) {
    const double left = spent / static_cast<double>(done) * static_cast<double>(total_ - done);
    std::cerr << "  " << fixed(left, 0) << " s left";
  }
  std::cerr << std::flush;
}

}  // namespace coppice::cli
