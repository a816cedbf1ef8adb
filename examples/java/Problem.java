import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.ToDoubleFunction;
import java.util.stream.IntStream;

/** A problem of the protocol with its variables laid end to end, in the order that the quadratic has them. */
final class Problem {
    private static final List<String> ORDER =
        List.of("inner_only", "bias", "latent", "weight", "vector", "matrix", "outer_only");

    final boolean isSecondOrder;
    final int steps;
    final double[] theta;
    final List<Fomaml.Task> tasks = new ArrayList<>();
    private final Map<String, Protocol.Array> variables = new TreeMap<>((a, b) -> ORDER.indexOf(a) - ORDER.indexOf(b));
    private final List<Object> outer;

    /** Reads a problem; `innerData` names the data that the inner loop sees. */
    Problem(Map<String, Object> json, String innerData) {
        isSecondOrder = json.get("step").equals("maml");
        steps = Json.integer(json.get("steps"));
        variables.putAll(Protocol.readArrays(json.get("variables")));
        theta = variables.values().stream().flatMapToDouble(each -> Arrays.stream(each.values())).toArray();
        outer = Json.list(json.get("outer"));
        var family = (String) json.get("family");
        var rates = Json.object(json.get("rates"));
        var seen = Protocol.readArrays(json.get(innerData));
        var query = Protocol.readArrays(json.get("query"));
        var ignoredOutside = (Boolean) json.get("same_cost") ? "outer_only" : "inner_only";
        for (int t = 0; t < Json.integer(json.get("num_tasks")); t++) {
            var adapting = Json.list(Json.list(json.get("inner")).get(t));
            var wanted = Json.list(outer.get(t));
            tasks.add(new Fomaml.Task(
                Cost.of(family, seen, t, placesWithout("outer_only")),
                Cost.of(family, query, t, placesWithout(ignoredOutside)),
                spread(name -> adapting.contains(name) ? Protocol.readNumber(rates.get(name)) : 0),
                spread(name -> wanted.contains(name) ? 1 : 0)));
        }
    }

    /** The places in the flat vector of all variables but one. */
    private int[] placesWithout(String ignored) {
        var kept = spread(name -> name.equals(ignored) ? 0 : 1);
        return IntStream.range(0, kept.length).filter(i -> kept[i] == 1).toArray();
    }

    /** A flat vector with one number for each variable, repeated. */
    private double[] spread(ToDoubleFunction<String> number) {
        return variables.entrySet().stream()
            .flatMapToDouble(each -> {
                var repeated = new double[each.getValue().values().length];
                Arrays.fill(repeated, number.applyAsDouble(each.getKey()));
                return Arrays.stream(repeated);
            })
            .toArray();
    }

    Protocol.Answer answer(double cost, double[] gradients, List<double[]> adapted) {
        var byName = new LinkedHashMap<String, Protocol.Array>();
        var points = new LinkedHashMap<String, Protocol.Array>();
        int begin = 0;
        for (var each : variables.entrySet()) {
            int from = begin;
            int to = begin += each.getValue().values().length;
            var shape = each.getValue().shape();
            if (outer.stream().anyMatch(names -> Json.list(names).contains(each.getKey())))
                byName.put(each.getKey(), new Protocol.Array(shape, Arrays.copyOfRange(gradients, from, to)));
            var rows = adapted.stream().flatMapToDouble(phi -> Arrays.stream(phi, from, to)).toArray();
            var stacked = new ArrayList<Object>(shape);
            stacked.add(0, (double) adapted.size());
            points.put(each.getKey(), new Protocol.Array(stacked, rows));
        }
        return new Protocol.Answer(cost, byName, points);
    }
}
