import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;

/**
 * What it takes to be judged by refmaml: JSON lines on standard input and output, numbers as C99 hex floats, which
 * Double knows. docs/protocol.md describes every message.
 */
final class Protocol {
    private Protocol() {}

    record Array(List<Object> shape, double[] values) {}

    static double readNumber(Object text) {
        return Double.parseDouble((String) text);
    }

    static Object writeNumber(double number) {
        if (Double.isNaN(number)) return "nan";
        if (Double.isInfinite(number)) return number > 0 ? "inf" : "-inf";
        return Double.toHexString(number);
    }

    static Array readArray(Object json) {
        var array = Json.object(json);
        var values = Json.list(array.get("values")).stream().mapToDouble(Protocol::readNumber).toArray();
        return new Array(Json.list(array.get("shape")), values);
    }

    static Object writeArray(Array array) {
        var values = Arrays.stream(array.values()).mapToObj(Protocol::writeNumber).toList();
        return Map.of("shape", array.shape(), "values", values);
    }

    static Map<String, Array> readArrays(Object json) {
        var arrays = new LinkedHashMap<String, Array>();
        Json.object(json).forEach((name, each) -> arrays.put(name, readArray(each)));
        return arrays;
    }

    static Object writeArrays(Map<String, Array> arrays) {
        var found = new LinkedHashMap<String, Object>();
        arrays.forEach((name, each) -> found.put(name, writeArray(each)));
        return found;
    }

    record Answer(double cost, Map<String, Array> gradients, Map<String, Array> adapted) {
        Object json() {
            var arrays = Map.of("gradients", writeArrays(gradients), "adapted", writeArrays(adapted));
            var found = new LinkedHashMap<String, Object>(arrays);
            found.put("cost", writeNumber(cost));
            return found;
        }
    }

    /** Answers requests until `stop`. */
    static void serve(String name, Object capabilities, Function<Map<String, Object>, Answer> run) throws IOException {
        var lines = new BufferedReader(new InputStreamReader(System.in));
        for (var line = lines.readLine(); line != null; line = lines.readLine()) {
            var request = Json.object(Json.read(line));
            var reply = new LinkedHashMap<String, Object>(Map.of("id", request.get("id")));
            try {
                switch ((String) request.get("command")) {
                    case "stop" -> { return; }
                    case "start" -> reply.put("result", Map.of("protocol", 1.0, "name", name, "language", "Java"));
                    case "capabilities" -> reply.put("result", capabilities);
                    case "echo" -> reply.put("result", Map.of("array", writeArray(readArray(request.get("array")))));
                    case "run" -> reply.put("result", run.apply(Json.object(request.get("problem"))).json());
                    default -> reply.put("error", "unknown command " + request.get("command"));
                }
            } catch (RuntimeException error) {
                reply.put("error", String.valueOf(error));
            }
            System.out.println(Json.write(reply)); // which flushes: a line in a buffer looks like a hang
        }
    }
}
