#pragma once
/// The folder of an index, out of which shards are opened by their plain names.

#include <filesystem>
#include <string>
#include <vector>

#include "coppice/engine/checked.h"
#include "io/file/file_handle.h"

namespace coppice {

/// Opens files of a folder, and links that are safe.
///
/// A cache of Hugging Face has the files of a model in ROOT/blobs, and in ROOT/snapshots/COMMIT links to them. Below
/// such a folder links are followed as long as they stay inside ROOT; elsewhere they are refused. Every step goes
/// through an open folder and takes no link that it has not read itself, so that nobody who changes the folders
/// meanwhile can lead a step out of ROOT.
class ShardFolder {
 public:
  /// @param follow_links  wherever they lead
  /// @throws IoError  if the folder cannot be opened
  ShardFolder(const std::filesystem::path& folder, const Source& source, bool follow_links);

  /// A descriptor of the file `name`, which may be a folder or a device too. Waits for no pipe.
  /// @param shard  what messages call it
  /// @throws FormatError  for a link that is not followed, and for a socket; IoError
  [[nodiscard]] FileHandle open(const std::string& name, const Source& shard) const;

 private:
  [[nodiscard]] FileHandle follow(const std::string& name, const Source& shard) const;

  std::vector<FileHandle> way_;  // from ROOT, or the folder alone
  std::string root_;             // path of ROOT; empty where links are refused
  bool follow_links_;
};

}  // namespace coppice
