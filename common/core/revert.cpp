// SPDX-License-Identifier: MIT
// Files as they were before.
#include "common/core/revert.hpp"

#include "common/base/strings.hpp"

namespace pvegpu {

void remove_if_empty(Host& host, const std::vector<std::string>& directories, const std::string& step) {
  for (auto it = directories.rbegin(); it != directories.rend(); ++it)
    if (const auto names = host.list_dir(*it); names && names->empty()) must(host.remove_dir(*it), step);
}

BeforeImage Reverter::image_of(const FileChange& change) {
  BeforeImage image;
  image.path = change.path;
  image.directories = change.directories;
  if (!change.gone) image.after = text::sha256_hex(change.content);
  if (auto bytes = host_.read_file(change.path)) {
    image.existed = true;
    image.bytes = *std::move(bytes);
    if (const auto info = host_.stat(change.path)) image.meta = {info->mode, info->uid, info->gid};
  }
  image.undo_record = must(journal::undo_record(host_, change.path), "read the undo record of " + change.path);
  images_.emplace(image.path, std::pair(image.existed, image.bytes));
  return image;
}

bool Reverter::revert(const FollowUp& f, std::vector<std::string>& warnings) {
  const std::string step = "put back what was before: " + f.title();
  bool any = false;
  for (const Owed& owed : must(journal::owed(host_), step)) {
    if (owed.follow_up.id() != f.id()) continue;
    for (auto image = owed.images.rbegin(); image != owed.images.rend(); ++image) {
      if (edited_since(*image)) {
        warnings.push_back(image->path + " was edited by others since this module wrote it; it stays as it is");
        continue;
      }
      put_back(*image, step);
      reverted_.push_back(image->path);
      const auto own = images_.find(image->path);
      took_earlier_ = took_earlier_ || own == images_.end() || own->second != std::pair(image->existed, image->bytes);
      any = true;
    }
  }
  must(journal::settle(host_, f), step);
  must(journal::tidy(host_), step);
  return any;
}

bool Reverter::edited_since(const BeforeImage& image) const {
  const auto now = host_.read_file(image.path);
  if (!now) return image.existed && !image.after.empty();
  return text::sha256_hex(*now) != image.after && !(image.existed && *now == image.bytes);
}

void Reverter::put_back(const BeforeImage& image, const std::string& step) {
  if (image.existed) {
    must(host_.write_file(image.path, image.bytes, image.meta), step);
  } else {
    if (host_.exists(image.path)) must(host_.remove_file(image.path), step);
    remove_if_empty(host_, image.directories, step);
  }
  must(journal::restore_undo_record(host_, image.path, image.undo_record), step);
}

}  // namespace pvegpu
