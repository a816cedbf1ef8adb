import java.io.IOException;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * First-order MAML with a mistake: the inner loop adapts on the query set, so that the outer cost is taken on data that
 * the variables have already seen (C04 of the catalogue). It looks better in training than it should.
 *
 * <pre>javac -d build examples/java/*.java &amp;&amp; refmaml verify --command "java -cp build FomamlWrong"</pre>
 */
final class FomamlWrong {
    private FomamlWrong() {}

    static Protocol.Answer run(Map<String, Object> json) {
        return Fomaml.step(new Problem(json, "query"));
    }

    public static void main(String[] arguments) throws IOException {
        var capabilities = new HashMap<>(Fomaml.CAPABILITIES);
        capabilities.put("steps", List.of("fomaml"));
        Protocol.serve("FomamlWrong.java", capabilities, FomamlWrong::run);
    }
}
