// SPDX-License-Identifier: MIT
// Speaks pve-gpu's protocol and does what a test tells it to, crashes included: for tests of how modules travel, not of what they do.
//   do: crash (after the start), silent (ends without an answer), deaf (ends without a word), fail, sleep
//   log: a file that gets one line a start: how many times did this task really run? Beside it, .args holds the arguments as they came.
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char args[1 << 20];
static char shown[1 << 22];

// The string value of a top-level key, as Python's json.dumps writes it. Good enough for arguments that a test has made.
static const char* text(const char* key, char* out, size_t size) {
  char pattern[64];
  snprintf(pattern, sizeof pattern, "\"%s\": \"", key);
  const char* at = strstr(args, pattern);
  size_t n = 0;
  if (at)
    for (at += strlen(pattern); *at && *at != '"' && n + 1 < size; ++at) out[n++] = *at;
  out[n] = '\0';
  return out;
}

static const char* word(const char* key) {
  static char out[16];
  char pattern[64];
  snprintf(pattern, sizeof pattern, "\"%s\": ", key);
  const char* at = strstr(args, pattern);
  size_t n = 0;
  if (at)
    for (at += strlen(pattern); *at && *at != ',' && *at != '}' && n + 1 < sizeof out; ++at) out[n++] = *at;
  out[n] = '\0';
  return n ? out : "null";
}

static const char* quoted(const char* in) {
  char* out = shown;
  for (*out++ = '"'; *in; ++in) {
    if (*in == '"' || *in == '\\') *out++ = '\\';
    *out++ = *in;
  }
  *out++ = '"';
  *out = '\0';
  return shown;
}

static int describe(const char* name) {
  printf("{\"DOCUMENTATION\": {\"module\": \"%s\", \"short_description\": \"Stand-in module %s\", \"author\": [\"The tests (@tests)\"],"
         " \"description\": [\"Answers with what it got.\"], \"version_added\": \"0.1.0\", \"attributes\": {"
         "\"check_mode\": {\"support\": \"full\", \"description\": \"Changes nothing.\"}, \"diff_mode\": {\"support\": \"full\", \"description\": \"Shows it.\"}},"
         " \"options\": {\"do\": {\"type\": \"str\", \"description\": [\"What to do.\"]}, \"log\": {\"type\": \"path\", \"description\": [\"A file.\"]},"
         " \"data\": {\"type\": \"raw\", \"description\": [\"Anything.\"]}}},"
         " \"EXAMPLES\": \"- name: Ask\\n  pve.gpu.%s:\\n    data: 1\\n\", \"RETURN\": {\"got\": {\"description\": \"The arguments.\", \"returned\": \"always\", \"type\": \"str\"}}}\n",
         name, name, name);
  return 0;
}

int main(int argc, char** argv) {
  const char* how = "file";
  char buffer[4096];
  if (argc == 2 && !strcmp(argv[1], "--list")) return puts("echo\nprobe") < 0;
  if (argc == 2 && !strcmp(argv[1], "--version")) return puts("pve-gpu " VERSION) < 0;
  if (argc == 3 && !strcmp(argv[1], "--describe")) return describe(argv[2]);
  if (argc != 2) return 2;

  FILE* in = stdin;
  if (!strcmp(argv[1], "--staged"))
    how = "staged";
  else if (!(in = fopen(argv[1], "r")))
    return 2;
  if (!strcmp(how, "staged") && getenv("STANDIN_DEAF")) return 3;    // before anything else, as a broken library would end it
  if (!strcmp(how, "staged")) {
    puts("pve-gpu:started");
    fflush(stdout);
  }
  args[fread(args, 1, sizeof args - 1, in)] = '\0';
  args[strcspn(args, "\n")] = '\0';    // one line of JSON

  if (*text("log", buffer, sizeof buffer)) {
    FILE* log = fopen(buffer, "a");
    if (log) {
      fprintf(log, "%s %s\n", how, word("_ansible_check_mode"));
      fclose(log);
    }
    strcat(buffer, ".args");
    if ((log = fopen(buffer, "w"))) {
      fputs(args, log);
      fclose(log);
    }
  }
  text("do", buffer, sizeof buffer);
  if (!strcmp(buffer, "crash")) abort();
  if (!strcmp(buffer, "silent")) return 0;
  if (!strcmp(buffer, "sleep")) sleep(20);
  const int failed = !strcmp(buffer, "fail");
  char cwd[4096];
  printf("{\"changed\": false, \"failed\": %s, \"msg\": \"%s\", \"how\": \"%s\", \"me\": \"%s\", \"uid\": %d, \"cwd\": \"%s\",", failed ? "true" : "false",
         failed ? "it failed as told" : "ok", how, basename(argv[0]), (int)geteuid(), getcwd(cwd, sizeof cwd));
  printf(" \"check\": %s, \"diff_mode\": %s,", word("_ansible_check_mode"), word("_ansible_diff"));
  printf(" \"mark\": %s,", quoted(getenv("MARK") ? getenv("MARK") : ""));
  printf(" \"path\": %s,", quoted(getenv("PATH") ? getenv("PATH") : ""));
  printf(" \"got\": %s}\n", quoted(args));
  return failed;
}
