import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** JSON as plain objects: Map, List, String, Double, Boolean and null. */
final class Json {
    private final String line;
    private int at = 0;

    private Json(String line) {
        this.line = line;
    }

    static Object read(String line) {
        return new Json(line).value();
    }

    @SuppressWarnings("unchecked")
    static Map<String, Object> object(Object value) {
        return (Map<String, Object>) value;
    }

    @SuppressWarnings("unchecked")
    static List<Object> list(Object value) {
        return (List<Object>) value;
    }

    static int integer(Object value) {
        return ((Double) value).intValue();
    }

    static String write(Object value) {
        var text = new StringBuilder();
        if (value instanceof Map<?, ?> map) {
            map.forEach((key, each) -> text.append(',').append(quoted((String) key)).append(':').append(write(each)));
            return "{" + text.substring(Math.min(1, text.length())) + "}";
        }
        if (value instanceof List<?> list) {
            list.forEach(each -> text.append(',').append(write(each)));
            return "[" + text.substring(Math.min(1, text.length())) + "]";
        }
        if (value instanceof Double number && number == Math.rint(number)) {
            return Long.toString(number.longValue());
        }
        return value instanceof String string ? quoted(string) : String.valueOf(value);
    }

    private static String quoted(String text) {
        return '"' + text.replace("\\", "\\\\").replace("\"", "\\\"").replaceAll("\\p{Cntrl}", " ") + '"';
    }

    private char next() {
        while (Character.isWhitespace(line.charAt(at))) at++;
        return line.charAt(at);
    }

    private boolean taken(char expected) {
        if (next() != expected) return false;
        at++;
        return true;
    }

    private void take(char expected) {
        if (!taken(expected)) throw new IllegalArgumentException("expected " + expected + " at " + at);
    }

    private Object value() {
        return switch (next()) {
            case '{' -> readObject();
            case '[' -> readList();
            case '"' -> readString();
            default -> readWord();
        };
    }

    private Map<String, Object> readObject() {
        var found = new LinkedHashMap<String, Object>();
        take('{');
        if (taken('}')) return found;
        do {
            next();
            var key = readString();
            take(':');
            found.put(key, value());
        } while (taken(','));
        take('}');
        return found;
    }

    private List<Object> readList() {
        var found = new ArrayList<Object>();
        take('[');
        if (taken(']')) return found;
        do {
            found.add(value());
        } while (taken(','));
        take(']');
        return found;
    }

    private String readString() {
        int end = line.indexOf('"', at + 1); // names and numbers have no escapes
        var found = line.substring(at + 1, end);
        at = end + 1;
        return found;
    }

    private Object readWord() {
        int begin = at;
        while (at < line.length() && ",]} ".indexOf(line.charAt(at)) < 0) at++;
        var word = line.substring(begin, at);
        return switch (word) {
            case "null" -> null;
            case "true", "false" -> Boolean.valueOf(word);
            default -> Double.valueOf(word);
        };
    }
}
