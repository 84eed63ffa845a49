#pragma once
// Ctrl-C at safe points, and mapped files that become shorter.

#include <string>

namespace coppice::cli {

/// Thrown at a safe point after Ctrl-C.
struct Interrupted {
  std::string left = "nothing was written";  ///< what stands on the disk
};

/// From here on a mapped file that somebody shortens ends the process with exit code 5 and a message that names it.
void catch_shortened_files();
/// Arms Ctrl-C; afterwards check_interrupt() throws once it was pressed. A second press ends the process at once.
void catch_interrupt();
/// @param left  what stands on the disk, for the message
void check_interrupt(const std::string& left = "nothing was written");
/// From here on the first press ends the process at once, for commands that have nothing to put away.
void interrupt_at_once();
/// The reverse: a press waits for check_interrupt() again. @throws Interrupted  if one came
void interrupt_later();
/// Whether Ctrl-C was pressed.
[[nodiscard]] bool interrupt_pending();

}  // namespace coppice::cli
