import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/**
 * First- and second-order MAML in Java, and the harness by which refmaml judges it:
 *
 * <pre>javac -d build examples/java/*.java &amp;&amp; refmaml verify --command "java -cp build Fomaml"</pre>
 */
final class Fomaml {
    private Fomaml() {}

    static final Map<String, Object> CAPABILITIES = Map.of(
        "families", List.of("quadratic", "bilinear", "logistic-regression"),
        "steps", List.of("fomaml", "maml"),
        "dtypes", List.of("float64"),
        "options", List.of("leaf-rates", "same-cost", "selections"));

    /** One task: its two costs, the rates (0 where nothing adapts), and 1 where the outer gradient is wanted. */
    record Task(Cost inner, Cost outer, double[] rates, double[] mask) {}

    static Protocol.Answer run(Map<String, Object> json) {
        return step(new Problem(json, "support"));
    }

    /** One step: the means over the tasks of cost and gradient at φ_K. */
    static Protocol.Answer step(Problem problem) {
        double cost = 0;
        var gradients = new double[problem.theta.length];
        var adapted = new ArrayList<double[]>();
        for (var task : problem.tasks) {
            var points = iterates(problem.theta, task, problem.steps);
            var last = points.get(problem.steps);
            cost += task.outer().value(last) / problem.tasks.size();
            var gradient = task.outer().gradient(last);
            if (problem.isSecondOrder) gradient = backwards(gradient, points, task);
            for (int i = 0; i < gradient.length; i++)
                gradients[i] += task.mask()[i] * gradient[i] / problem.tasks.size();
            adapted.add(last);
        }
        return problem.answer(cost, gradients, adapted);
    }

    /** φ_0, …, φ_K: gradient descent on the inner cost. */
    static List<double[]> iterates(double[] theta, Task task, int steps) {
        var points = new ArrayList<>(List.of(theta));
        for (int k = 0; k < steps; k++) {
            var phi = points.get(k).clone();
            var slope = task.inner().gradient(points.get(k));
            for (int i = 0; i < phi.length; i++) phi[i] -= task.rates()[i] * slope[i];
            points.add(phi);
        }
        return points;
    }

    /** (I − H_0 D) … (I − H_{K−1} D) g, with D the rates: the gradient through the inner loop. */
    static double[] backwards(double[] gradient, List<double[]> points, Task task) {
        for (int k = points.size() - 2; k >= 0; k--) {
            var scaled = gradient.clone();
            for (int i = 0; i < scaled.length; i++) scaled[i] *= task.rates()[i];
            var bent = task.inner().hessianTimes(points.get(k), scaled);
            gradient = gradient.clone();
            for (int i = 0; i < gradient.length; i++) gradient[i] -= bent[i];
        }
        return gradient;
    }

    public static void main(String[] arguments) throws IOException {
        Protocol.serve("Fomaml.java", CAPABILITIES, Fomaml::run);
    }
}
