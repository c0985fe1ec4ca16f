// SPDX-License-Identifier: MIT
// The records of the journal on the disk: one JSON file each, root's alone, in a directory for each kind.
#pragma once

#include "common/core/journal.hpp"

namespace pvegpu::journal {

/// Where the records of a kind are, and one of them.
std::string directory(std::string_view kind);
std::string file(std::string_view kind, std::string_view id);

/// What is said of a record that can't be made out.
Error damaged(const std::string& path);
/// What a record says is done as root.
Result<> trusted_record(const HostView& host, const std::string& path);

/// The bytes of any file; nullopt: there is none.
Result<std::optional<std::string>> bytes_of(const HostView& host, const std::string& path);
/// The bytes of a record.
Result<std::optional<std::string>> record_bytes(const HostView& host, const std::string& path);
/// Names of the records of one kind.
Result<std::vector<std::string>> records(const HostView& host, std::string_view kind);
Result<std::optional<json>> load(const HostView& host, const std::string& path);
Result<> save(Host& host, const std::string& kind, const std::string& path, const json& value);

json meta_to_json(const FileMeta& meta);
FileMeta meta_from_json(const json& value);
/// Bytes in base64. Throws as json does for what is none: it must not pass for an empty file.
std::string bytes_from_json(const json& value);

}  // namespace pvegpu::journal
