// What it takes to be judged by refmaml: JSON lines on standard input and output, numbers as C99 hex floats, which
// strtod and printf know. docs/protocol.md describes every message.
#pragma once

#include <cmath>
#include <cstdio>
#include <functional>
#include <iostream>

#include "json.hpp"

struct Array {
    std::vector<std::size_t> shape;
    std::vector<double> values;
};
using Arrays = std::map<std::string, Array>;

inline double readNumber(const Json& json) { return std::strtod(json.text.c_str(), nullptr); }

inline Json writeNumber(double number) {
    if (std::isnan(number)) return "nan";
    if (std::isinf(number)) return number > 0 ? "inf" : "-inf";
    char text[40];
    std::snprintf(text, sizeof text, "%a", number);
    return text;
}

inline Array readArray(const Json& json) {
    Array array;
    for (const Json& each : json["shape"].items) array.shape.push_back(static_cast<std::size_t>(each.number));
    for (const Json& each : json["values"].items) array.values.push_back(readNumber(each));
    return array;
}

inline Json writeArray(const Array& array) {
    const std::vector<Json> shape(array.shape.begin(), array.shape.end());
    std::vector<Json> values;
    for (const double each : array.values) values.push_back(writeNumber(each));
    return std::map<std::string, Json>{{"shape", shape}, {"values", values}};
}

inline Arrays readArrays(const Json& json) {
    Arrays arrays;
    for (const auto& [name, each] : json.members) arrays[name] = readArray(each);
    return arrays;
}

inline Json writeArrays(const Arrays& arrays) {
    std::map<std::string, Json> found;
    for (const auto& [name, each] : arrays) found[name] = writeArray(each);
    return found;
}

struct Answer {
    double cost;
    Arrays gradients;
    Arrays adapted;
};

struct Harness {
    std::string name;
    Json capabilities;
    std::function<Answer(const Json& problem, const std::string& dtype)> run;

    Json answer(const Json& request) const {
        const std::string& command = request["command"].text;
        if (command == "start")
            return std::map<std::string, Json>{{"protocol", 1.0}, {"name", name}, {"language", "C++"}};
        if (command == "capabilities") return capabilities;
        if (command == "echo") return std::map<std::string, Json>{{"array", writeArray(readArray(request["array"]))}};
        if (command != "run") throw std::runtime_error("unknown command " + command);
        const Answer found = run(request["problem"], request["dtype"].text);
        return std::map<std::string, Json>{{"cost", writeNumber(found.cost)},
                                           {"gradients", writeArrays(found.gradients)},
                                           {"adapted", writeArrays(found.adapted)}};
    }

    int serve() const {
        for (std::string line; std::getline(std::cin, line);) {
            const Json request = JsonReader::read(line);
            if (request["command"].text == "stop") break;
            std::map<std::string, Json> reply{{"id", request["id"]}};
            try {
                reply["result"] = answer(request);
            } catch (const std::exception& error) {
                reply["error"] = error.what();
            }
            std::cout << written(reply) << std::endl;  // which also flushes: a line in a buffer looks like a hang
        }
        return 0;
    }
};
