// SPDX-License-Identifier: MIT
// What a host answered to every question that judgements put to it: made by Recorder, answered from by ReplayHost.
//
// As a file it is gzip'd JSON, so that `zcat FILE` shows it. Beside "version" and "host" it has a list for each kind of question, of what
// was asked and the answer; an answer that is an error is {"errno": N}, with "error" where the message is not the system's own. Contents of
// files that are longer than a few words stand once each in "texts", by their number.
#pragma once

#include "common/base/json.hpp"
#include "common/host/host.hpp"

namespace pvegpu::record {

enum class Question { file, link, directory, info, info_of_link, sum, space, query, kernel_module, pci_name, pci_devices };
inline constexpr int questions = 11;
/// What an error of this kind begins with, as RealHost writes it: "read", "list".
const char* verb_of(Question question);

struct Recording {
  std::string version;  ///< of pve-gpu
  uid_t uid = 0;
  std::int64_t now = 0;  ///< seconds since 1970
  std::string kernel_release;
  /// By path; a query by its argv as JSON, a kernel module by "NAME RELEASE", a PCI name by "10de:2235", the PCI devices by "".
  std::map<std::string, json> answers[questions];

  std::map<std::string, json>& of(Question question) { return answers[static_cast<int>(question)]; }
  const std::map<std::string, json>& of(Question question) const { return answers[static_cast<int>(question)]; }
};

/// Bytes as JSON, which holds UTF-8 only: a string, or {"base64": …}.
json from_bytes(const std::string& bytes);
std::string to_bytes(const json& value);  ///< throws as nlohmann does for what is neither

/// The file.
std::string pack(const Recording& recording);
/// The JSON in it, unpacked, for people and for fixtures.
std::string print(const Recording& recording);
/// Of a file, or of its JSON. What it holds comes from elsewhere: an error for what is no recording or a damaged one.
Result<Recording> unpack(const std::string& bytes);

}  // namespace pvegpu::record
