// JSON, as much of it as the protocol needs: values that are read from a line and written to one.
#pragma once

#include <cctype>
#include <cstdlib>
#include <map>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

struct Json {
    enum Kind { Null, Bool, Number, String, List, Object } kind = Null;
    bool truth = false;
    double number = 0;
    std::string text;
    std::vector<Json> items;
    std::map<std::string, Json> members;

    Json() = default;
    Json(double value) : kind(Number), number(value) {}
    Json(const char* value) : kind(String), text(value) {}
    Json(std::string value) : kind(String), text(std::move(value)) {}
    Json(std::vector<Json> values) : kind(List), items(std::move(values)) {}
    Json(std::map<std::string, Json> values) : kind(Object), members(std::move(values)) {}

    const Json& operator[](const std::string& key) const {
        const auto found = members.find(key);
        if (found == members.end()) throw std::runtime_error("the key " + key + " is missing");
        return found->second;
    }
};

class JsonReader {
  public:
    static Json read(const std::string& line) {
        JsonReader reader(line);
        return reader.value();
    }

  private:
    const std::string& line;
    std::size_t at = 0;

    explicit JsonReader(const std::string& text) : line(text) {}

    char next() {
        while (at < line.size() && std::isspace(static_cast<unsigned char>(line[at]))) ++at;
        if (at >= line.size()) throw std::runtime_error("the line ends within a value");
        return line[at];
    }

    bool taken(char expected) {
        if (next() != expected) return false;
        ++at;
        return true;
    }

    void take(const std::string& word) {
        if (line.compare(at, word.size(), word) != 0) throw std::runtime_error("expected " + word);
        at += word.size();
    }

    Json value() {
        switch (next()) {
            case '{': return object();
            case '[': return list();
            case '"': return string();
            case 'n': take("null"); return {};
            case 't': case 'f': return boolean();
            default: return number();
        }
    }

    Json boolean() {
        Json found;
        found.kind = Json::Bool;
        found.truth = line[at] == 't';
        take(found.truth ? "true" : "false");
        return found;
    }

    Json number() {
        const char* begin = line.c_str() + at;
        char* end = nullptr;
        const double found = std::strtod(begin, &end);
        if (end == begin) throw std::runtime_error("expected a value");
        at += end - begin;
        return found;
    }

    std::string string() {
        take("\"");
        std::string found;
        while (line.at(at) != '"') {
            if (line[at] == '\\') ++at;  // names, numbers and paths have no escapes but \" and \\ here
            found += line.at(at++);
        }
        ++at;
        return found;
    }

    Json list() {
        take("[");
        std::vector<Json> found;
        if (taken(']')) return found;
        do found.push_back(value()); while (taken(','));
        next(), take("]");
        return found;
    }

    Json object() {
        take("{");
        std::map<std::string, Json> found;
        if (taken('}')) return found;
        do {
            next();
            std::string key = string();
            next(), take(":");
            found.emplace(std::move(key), value());
        } while (taken(','));
        next(), take("}");
        return found;
    }
};

inline std::string written(const Json& json) {
    std::string text;
    switch (json.kind) {
        case Json::Null: return "null";
        case Json::Bool: return json.truth ? "true" : "false";
        case Json::Number: return std::to_string(static_cast<long long>(json.number));  // only counts: see protocol.hpp
        case Json::String:
            for (const char each : json.text) {
                if (each == '"' || each == '\\') text += '\\';
                text += each;
            }
            return '"' + text + '"';
        case Json::List:
            for (const Json& each : json.items) text += (text.empty() ? "" : ",") + written(each);
            return '[' + text + ']';
        default:
            for (const auto& [key, each] : json.members)
                text += (text.empty() ? "\"" : ",\"") + key + "\":" + written(each);
            return '{' + text + '}';
    }
}
