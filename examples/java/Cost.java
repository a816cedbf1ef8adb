import java.util.Arrays;
import java.util.Map;

/** A cost of one flat vector, with its derivatives worked by hand. docs/vectors.md has the formulas. */
interface Cost {
    double value(double[] v);

    double[] gradient(double[] v);

    /** The second derivative at v, applied to u. */
    double[] hessianTimes(double[] v, double[] u);

    /** The cost of a family on row t of its data; `taken` are the places in v of what a quadratic takes. */
    static Cost of(String family, Map<String, Protocol.Array> data, int t, int[] taken) {
        return switch (family) {
            case "quadratic" -> new Quadratic(row(data.get("matrix"), t), row(data.get("centre"), t), taken);
            case "bilinear" -> new Bilinear(meanOfColumns(data.get("x"), t));
            case "logistic-regression" -> new Logistic(row(data.get("x"), t), row(data.get("y"), t));
            default -> throw new IllegalArgumentException("no family " + family);
        };
    }

    private static double[] row(Protocol.Array array, int t) {
        int width = array.values().length / Json.integer(array.shape().get(0));
        return Arrays.copyOfRange(array.values(), t * width, (t + 1) * width);
    }

    private static double[] meanOfColumns(Protocol.Array x, int t) {
        int examples = Json.integer(x.shape().get(1));
        int columns = Json.integer(x.shape().get(2));
        var values = row(x, t);
        var mean = new double[columns];
        for (int i = 0; i < values.length; i++) mean[i % columns] += values[i] / examples;
        return mean;
    }

    /** r·Ar / 2 with r = v − c on the places that are taken. */
    record Quadratic(double[] matrix, double[] centre, int[] taken) implements Cost {
        public double value(double[] v) {
            var slope = gradient(v);
            double sum = 0;
            for (int i = 0; i < taken.length; i++) sum += (v[taken[i]] - centre[i]) * slope[taken[i]];
            return sum / 2;
        }

        public double[] gradient(double[] v) {
            var shifted = v.clone();
            for (int i = 0; i < taken.length; i++) shifted[taken[i]] -= centre[i];
            return hessianTimes(v, shifted);
        }

        public double[] hessianTimes(double[] v, double[] u) {
            var product = new double[u.length];
            for (int i = 0; i < taken.length; i++)
                for (int j = 0; j < taken.length; j++) product[taken[i]] += matrix[i * taken.length + j] * u[taken[j]];
            return product;
        }
    }

    /** −Σ x̄_d l_d w_d, with l the first half of v and w the second. */
    record Bilinear(double[] x) implements Cost {
        public double value(double[] v) {
            double sum = 0;
            for (int d = 0; d < x.length; d++) sum -= x[d] * v[d] * v[x.length + d];
            return sum;
        }

        public double[] gradient(double[] v) {
            return hessianTimes(v, v);
        }

        public double[] hessianTimes(double[] v, double[] u) {
            var product = new double[u.length];
            for (int i = 0; i < u.length; i++) product[i] = -x[i % x.length] * u[(i + x.length) % u.length];
            return product;
        }
    }

    /** The mean over n of log(1 + exp z_n) − y_n z_n, with z = x w + b; b comes first in v. */
    record Logistic(double[] x, double[] y) implements Cost {
        private double score(double[] v, int n, double bias) {
            double z = bias;
            for (int d = 1; d < v.length; d++) z += x[n * (v.length - 1) + d - 1] * v[d];
            return z;
        }

        private double probability(double[] v, int n) {
            double z = score(v, n, v[0]);
            double small = Math.exp(-Math.abs(z));
            return z > 0 ? 1 / (1 + small) : small / (1 + small);
        }

        public double value(double[] v) {
            double sum = 0;
            for (int n = 0; n < y.length; n++) {
                double z = score(v, n, v[0]);
                sum += Math.max(z, 0) + Math.log1p(Math.exp(-Math.abs(z))) - y[n] * z;
            }
            return sum / y.length;
        }

        public double[] gradient(double[] v) {
            var slope = new double[v.length];
            for (int n = 0; n < y.length; n++) addExample(slope, n, probability(v, n) - y[n]);
            return slope;
        }

        public double[] hessianTimes(double[] v, double[] u) {
            var product = new double[v.length];
            for (int n = 0; n < y.length; n++) {
                double p = probability(v, n);
                addExample(product, n, p * (1 - p) * score(u, n, u[0]));
            }
            return product;
        }

        private void addExample(double[] sum, int n, double factor) {
            sum[0] += factor / y.length;
            for (int d = 1; d < sum.length; d++) sum[d] += factor * x[n * (sum.length - 1) + d - 1] / y.length;
        }
    }
}
