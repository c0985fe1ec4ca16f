// SPDX-License-Identifier: MIT
// The file of a recording.
#include "common/record/recording.hpp"

#include "common/base/strings.hpp"

#include <zlib.h>

namespace pvegpu::record {
namespace {

constexpr int format = 1;
constexpr std::size_t shortest_text = 48, largest_unpacked = std::size_t{128} << 20;
constexpr int as_gzip = 15 + 16;

struct Kind {
  const char *name, *verb;
};
/// In the order of Question.
constexpr Kind kinds[questions] = {{"files", "read"},
                                   {"links", "read link"},
                                   {"directories", "list"},
                                   {"stats", "stat"},
                                   {"stats_of_links", "stat"},
                                   {"sha256", "read"},
                                   {"free_space", "ask for free space at"},
                                   {"programs", ""},
                                   {"kernel_modules", ""},
                                   {"pci_names", ""},
                                   {"pci_devices", ""}};

bool is_utf8(const std::string& bytes) {
  for (std::size_t i = 0; i < bytes.size();) {
    const unsigned char c = static_cast<unsigned char>(bytes[i++]);
    const int more = c < 0x80 ? 0 : c >= 0xc2 && c < 0xe0 ? 1 : c >= 0xe0 && c < 0xf0 ? 2 : c >= 0xf0 && c < 0xf5 ? 3 : -1;
    if (more < 0) return false;
    for (int k = 0; k < more; ++k, ++i) {
      const unsigned char d = i < bytes.size() ? static_cast<unsigned char>(bytes[i]) : 0;
      const unsigned char least = k > 0 ? 0x80 : c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
      const unsigned char most = k > 0 ? 0xbf : c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
      if (d < least || d > most) return false;
    }
  }
  return true;
}

Result<std::string> gunzip(const std::string& bytes) {
  z_stream stream{};
  if (::inflateInit2(&stream, as_gzip) != Z_OK) return Error{"zlib can't be started"};
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  std::string out, buffer(std::size_t{1} << 16, '\0');
  int state = Z_OK;
  while (state == Z_OK && out.size() <= largest_unpacked) {
    stream.next_out = reinterpret_cast<Bytef*>(buffer.data());
    stream.avail_out = static_cast<uInt>(buffer.size());
    state = ::inflate(&stream, Z_NO_FLUSH);
    out.append(buffer, 0, buffer.size() - stream.avail_out);
  }
  ::inflateEnd(&stream);
  if (out.size() > largest_unpacked) return Error{fmt::format("it is larger than {} MiB when unpacked", largest_unpacked >> 20)};
  if (state != Z_STREAM_END) return Error{"it is cut short or damaged; get it again"};
  return out;
}

}  // namespace

const char* verb_of(Question question) { return kinds[static_cast<int>(question)].verb; }

json from_bytes(const std::string& bytes) { return is_utf8(bytes) ? json(bytes) : json{{"base64", text::base64(bytes)}}; }

std::string to_bytes(const json& value) {
  if (value.is_object()) return text::from_base64(value.at("base64").get_ref<const std::string&>());
  return value.get<std::string>();
}

std::string print(const Recording& recording) {
  // Written by hand: an object of nlohmann's that keeps its order is searched from its beginning at each insertion, and thousands of
  // answers on one line are not to be read.
  std::string texts, out = dump_json({{"pve_gpu_recording", format},
                                      {"version", recording.version},
                                      {"host", {{"uid", recording.uid}, {"now", recording.now}, {"kernel", recording.kernel_release}}}});
  out.pop_back();
  std::map<std::string, std::size_t> numbers;
  for (int i = 0; i < questions; ++i) {
    std::string entries;
    for (const auto& [key, answer] : recording.answers[i]) {
      entries += fmt::format("{}\n[{},", entries.empty() ? "" : ",", dump_json(key));
      std::string text = dump_json(answer);
      if (i == 0 && answer.is_string() && text.size() >= shortest_text) {
        const auto [number, is_new] = numbers.try_emplace(text, numbers.size());
        if (is_new) texts += (number->second ? ",\n" : "\n") + text;
        text = std::to_string(number->second);
      }
      entries += text + "]";
    }
    out += fmt::format(",\n\"{}\":[{}]", kinds[i].name, entries);
  }
  return out + ",\n\"texts\":[" + texts + "]}\n";
}

std::string pack(const Recording& recording) {
  const std::string text = print(recording);
  z_stream stream{};
  if (::deflateInit2(&stream, Z_BEST_COMPRESSION, Z_DEFLATED, as_gzip, 8, Z_DEFAULT_STRATEGY) != Z_OK)
    throw ModuleError("zlib can't be started: there is no memory left");
  std::string out(::deflateBound(&stream, static_cast<uLong>(text.size())), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  ::deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  ::deflateEnd(&stream);
  return out;
}

Result<Recording> unpack(const std::string& bytes) {
  const bool packed = bytes.starts_with("\x1f\x8b");
  const auto value = parse_json(packed ? PVEGPU_TRY(gunzip(bytes)) : bytes);
  if (!value || !value->is_object() || !value->contains("pve_gpu_recording"))
    return Error{"it is not a recording; make one with: pve-gpu record FILE"};
  try {
    if (value->at("pve_gpu_recording") != format)
      return Error{fmt::format("it was made by pve-gpu {}, whose recordings this one can't read; use that version, or a newer one",
                               value->value("version", "of another version"))};
    Recording out;
    out.version = value->at("version").get<std::string>();
    const json& host = value->at("host");
    out.uid = host.at("uid").get<uid_t>();
    out.now = host.at("now").get<std::int64_t>();
    out.kernel_release = host.at("kernel").get<std::string>();
    const json& texts = value->at("texts");
    for (int i = 0; i < questions; ++i)
      for (const json& entry : value->at(kinds[i].name)) {
        const json& answer = entry.at(1);
        out.answers[i].emplace(entry.at(0).get<std::string>(), i == 0 && answer.is_number() ? texts.at(answer.get<std::size_t>()) : answer);
      }
    return out;
  } catch (const nlohmann::detail::exception&) {
    return Error{"it is a damaged recording; get it again"};
  }
}

}  // namespace pvegpu::record
